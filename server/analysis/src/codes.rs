//! The codes of diagnostics, each with its explanation. `taper explain` and docs/errors.md are
//! made from this table.

use std::fmt;

use crate::Severity;

macro_rules! codes {
    ($($name:ident $number:literal $severity:ident $title:literal $explanation:literal;)*) => {
        /// The kind of a diagnostic.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)] // `title` and `explanation` say it.
        pub enum Code { $($name,)* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// Its number, such as `T0103`.
            pub fn number(self) -> &'static str {
                match self { $(Code::$name => $number,)* }
            }

            /// How bad it is.
            pub fn severity(self) -> Severity {
                match self { $(Code::$name => Severity::$severity,)* }
            }

            /// What is wrong, in a line.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// What it means and what to do, in Markdown.
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$name => $explanation,)* }
            }
        }
    };
}

codes! {
    Syntax "T0001" Error "The text is not Taper"
        "A step ends with its line; only a line that begins with `->` or `else` continues the one before. \
         The message says what could stand at this place. A half-typed line costs that line only.\n\n\
         ```taper,error\nblock Head { Linear(10 }\n```";
    UnknownName "T0101" Error "A name that nothing gives"
        "A name is a parameter, an input, a `let`, a label of a step above, or what a loop or pattern binds. \
         What `let`, `for` and patterns bind in braces ends with the braces.\n\n\
         ```taper,error\nblock Head { input x: [N, C]; y -> ReLU }\n```";
    UnknownLayer "T0102" Error "A layer that nobody has declared"
        "The layers are those of `torch.nn` and `torch`, by PyTorch's names, and the blocks and models of this \
         file and of those it uses.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; Liner(4) }\n```";
    UnknownArgument "T0103" Error "An argument that the layer does not have"
        "Arguments have PyTorch's names, order and defaults, without the sizes that the input tells \
         (`in_channels`, `in_features`, `num_features` …). Hover the layer to see its signature.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 3, 8, 8]; Conv2d(8, kernel=3) }\n```";
    GivenTwice "T0104" Error "A name or path that is given twice"
        "In one body a name is given once, and two parameters cannot have one path: a checkpoint could not tell \
         them apart. In a loop, a label computes: `\"conv{i}\": Conv2d(8, 3)`.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; a: Linear(4); a: Linear(4) }\n```";
    NotInside "T0105" Error "Nothing of that name inside"
        "A dotted name looks inside a step: `backbone.layer3` is the value of that step, `wte.weight` a parameter, \
         `convs.*` all values of a group, `x.shape` the sizes of a tensor.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; a: Linear(4); b: Linear(4, weight=a.wait) }\n```";
    OutsideBlock "T0106" Error "A name that a block does not see"
        "A block that stands inside a model sees its parameters and the `let`s above it that use no sizes, but \
         neither inputs nor labels nor symbols: these are different at each use. Pass a tensor as an input, and \
         read a size from it.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; block B { Linear(N) }; B }\n```";
    Recursion "T0107" Error "A block that contains itself"
        "Blocks are written out, so a block cannot contain itself, not even through others. The message shows the \
         circle.\n\n\
         ```taper,error\nblock A { B }\nblock B { A }\nmodel M { input x: f32[N = 1, 8]; A }\n```";
    MissingFile "T0108" Error "A file that cannot be used"
        "The path of a `use` is relative to the file it stands in.\n\n\
         ```taper,error\nuse \"nowhere.taper\"\n```";
    UseCircle "T0109" Error "Files that use each other"
        "A file cannot use itself, not even through others. Move what both need into a third file.";
    NotInFile "T0110" Error "A name that a used file does not have"
        "`use \"blocks.taper\": Bottleneck` takes the models and blocks that stand at the top of that file.";
    Casing "T0111" Hint "A name in another case than usual"
        "Layers, blocks and models are `CamelCase`; parameters, inputs and `let`s `snake_case`, or short capitals \
         where they name a size (`N`, `PH`). Labels are free: the checkpoint dictates them.\n\n\
         ```taper,hint\nblock head { ReLU }\n```";
    Unused "T0112" Hint "Something that nothing uses"
        "A step whose value nobody takes is computed and counted all the same, and so is a parameter that nobody \
         reads: often a line is missing, or one too many is there. A pattern among the steps checks names that are \
         known and binds those that are not; one that it binds and nothing uses may be a slip, and `_` stands for \
         any size. A `##` comment above a line says that it is meant so.\n\n\
         ```taper,hint\nmodel M { input x: f32[N = 1, 8]; gate: x -> Linear(8); up: x -> Linear(8) }\n```";
    WrongValue "T0201" Error "A value of another kind than needed"
        "Scalars are whole numbers, floats, texts, `true`, `false`, `none` and lists of them. `/` gives a float; \
         `//` divides to a whole number.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; let n = 8 / 2 + \"a\" }\n```";
    Arithmetic "T0202" Error "A computation that has no result"
        "Division by zero, an index outside a list, the largest of an empty list.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; Linear(8 // 0) }\n```";
    Overflow "T0203" Error "A number that is too large"
        "Whole numbers have 63 bits and counts 128; what does not fit is an error, never a wrong number.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; Linear(2 ** 63) }\n```";
    MissingArgument "T0301" Error "An argument is missing"
        "Arguments without a default must be given.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 3, 8, 8]; Conv2d(8) }\n```";
    WrongArgument "T0302" Error "An argument that PyTorch would refuse"
        "The message says what the layer takes.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 3, 8, 8]; Conv2d(8, 3, groups=2) }\n```";
    WrongInputs "T0303" Error "Another number of tensors than the layer takes"
        "A layer takes as many tensors as it has inputs: `q, k, v -> ScaledDotProductAttention`. A value of \
         several tensors is taken apart by labels, `h, c: …`, or by an index, `lstm[0]`.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; x, x -> ReLU }\n```";
    NotALayer "T0304" Error "Something that is not a layer in a layer's place"
        "After `->` stands a layer, a block, a recipe that a parameter holds, a label above (its layers again), \
         or a stage such as `{ … }`.\n\n\
         ```taper,error\nblock B(n) { input x: [N = 1, C = 8]; x -> 4 }\n```";
    NeedsArguments "T0305" Error "A model that needs arguments"
        "A model whose parameters all have defaults stands for itself; another needs `--set NAME=VALUE`.";
    NotATensor "T0306" Error "Something that is not a tensor in a tensor's place"
        "Tensors flow; settings go in parentheses. A `let` holds no tensor: a label names one.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; let y = x + 1; ReLU }\n```";
    WrongShape "T0401" Error "A tensor of a shape that the layer does not take"
        "The message gives both sides.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 3, 2, 2]; Conv2d(8, 3) }\n```";
    WrongDtype "T0402" Error "A tensor of a dtype that the layer does not take"
        "`Embedding` takes whole numbers, most layers floating-point numbers.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; Embedding(10, 4) }\n```";
    Pattern "T0403" Error "A shape that does not fit its pattern"
        "In a pattern a known name or an expression must equal the size, an unknown name is bound to it, `_` is \
         any size and `...` any number of dimensions.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; [N, 4]; ReLU }\n```";
    Promise "T0404" Error "A symbol that is not free"
        "`N = 1` promises any size. The model is run through again at other sizes, and this step fails there. \
         Write the size as a number, or say which sizes the model takes: `expect H % 32 == 0`.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, T = 8]; Reshape(N, 8) }\n```";
    SizedParameter "T0405" Error "A parameter whose shape follows a symbol"
        "Parameters have the same shapes at every size, or a checkpoint would fit one size only.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, T = 8]; Linear(4) }\n```";
    FixedSymbol "T0406" Hint "A symbol with no other allowed size"
        "The expectations allow no size near the one shown, so the symbol stands for a fixed number.\n\n\
         ```taper,hint\nmodel M { input x: f32[N = 1, 8]; expect N == 1; ReLU }\n```";
    TwoModules "T0407" Error "A labelled step with more than one module"
        "A labelled step is one module: one of its stages may have parameters, and they live under the label. \
         Braces make a group, whose stages are numbered.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; fc: Linear(4) -> Linear(2) }\n```";
    MixedBody "T0408" Hint "Numbered and labelled parameters in one body"
        "A PyTorch module has children of the one kind or the other, so these paths fit no checkpoint.\n\n\
         ```taper,hint\nmodel M { input x: f32[N = 1, 8]; a: Linear(4); Linear(2) }\n```";
    Unpack "T0409" Error "Another number of values than of names"
        "Several labels take a value apart, one tensor each; `_` drops one. A loop over lists binds as many names \
         as each list has items.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; a, b, c: Chunk(2, dim=1) }\n```";
    TiedShape "T0410" Error "A tensor that does not fit the parameter it is given for"
        "A tensor given for a parameter, `weight=wte.weight`, must have that parameter's shape.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; a: Linear(4); b: Linear(4, weight=a.weight) }\n```";
    Expectation "T0501" Error "An expectation that does not hold"
        "The message shows both sides as they are.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 8]; fc: Linear(4); expect params < 10 }\n```";
    NotMeasured "T0502" Hint "A latency that has not been measured"
        "`expect latency` is checked against the last measurement on that device.\n\n\
         ```taper,hint\nmodel M { input x: f32[N = 1, 8]; ReLU; expect latency < 2ms on \"cuda\" }\n```";
    UnknownWork "T0503" Warning "An expectation on work that is not known"
        "A block that states its outputs stands for work that is written elsewhere. Until it says how much \
         (`macs = …`, `elementwise = …`), the totals are a least, and `macs` or `flops` are compared \
         with what is expected only where the least decides.\n\n\
         ```taper,warning\nblock Own { input x: [N, C]; output y: [N, 4] }\nmodel M { input x: f32[N = 1, 8]; Own; expect flops < 1K }\n```";
    TooLarge "T0601" Error "More than Taper writes out"
        "Limits keep the editor quick: 1 MiB of text, 100,000 written-out steps (a block that is used again with \
         the same sizes counts once), nesting of 128, 64 dimensions, sizes up to 2^63 - 1.\n\n\
         ```taper,error\nmodel M { input x: f32[N = 1, 1]; repeat 10 ** 12 { Linear(1) } }\n```";
    NoConfig "T0701" Error "A text that is no config"
        "A `config.json` of Hugging Face is a JSON object of at most 1 MiB.";
    UnknownArchitecture "T0702" Error "An architecture that nobody has written"
        "A config names its model by `architectures`, or else by `model_type`. The model is looked for in the \
         `.taper` files beside the config, then in those of the setting `taper.architectures`, then in the library. \
         To add one, write `model NAME(…)` in a `.taper` file beside the config: its parameters are the config's keys.";
    MisspeltKey "T0703" Warning "A key that is nearly one of the model's"
        "Keys that the model does not name are ignored, so a misspelt one leaves the default in its place.";
    UnknownQuantization "T0704" Warning "Weights that are stored in a way that is not known"
        "`quantization_config` says how weights are stored: gptq, awq, bitsandbytes, fp8 and mxfp4 are known. Of any other the \
         figures are those of the weights as they are before it.";
    WeightsFile "T0801" Error "A checkpoint that cannot be read, or is broken"
        "Of a checkpoint only the headers are read. Its path is relative to the file it stands in.";
    MissingTensor "T0802" Error "A tensor of the model that the checkpoint lacks"
        "Where the names in the file begin with something more, say so: `weights \"model.safetensors\" under \"model.\"`. \
         Where it holds a part of the model, name the part: `weights \"gpt2.safetensors\" for transformer`.";
    StoredShape "T0803" Error "A tensor of another shape than in the checkpoint"
        "The message gives both shapes.";
    UnexpectedTensor "T0804" Warning "A tensor of the checkpoint that the model lacks"
        "The message names the first of them.";
    StoredDtype "T0805" Hint "A tensor of another dtype than in the checkpoint"
        "`dtype bf16` in a model says which dtype its weights have.";
    Defect "T0901" Error "A defect of Taper"
        "Taper has failed on this file, which no file should make it do. Other files are not affected. Please open an \
         issue in Taper's repository, with the file or the smallest part of it that still fails, the message, and what \
         `taper --version` prints.";
}

impl Code {
    /// The page of all codes, in Markdown: docs/errors.md.
    pub fn page() -> String {
        let mut page = String::from(
            "# Diagnostics\n\nEvery message has a code. `taper explain T0103` prints its section.\n\n\
             <!-- Made from server/analysis/src/codes.rs by tests/docs. -->\n",
        );
        for code in Code::ALL {
            let severity = match code.severity() {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Hint => "hint",
            };
            let (title, explanation) = (code.title(), code.explanation());
            page.push_str(&format!("\n## {code}\n\n{title} ({severity}).\n\n{explanation}\n"));
        }
        page
    }

    /// The code of a number, in any case.
    pub fn parse(number: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.number().eq_ignore_ascii_case(number))
    }

    /// Whether a model is there all the same: an expectation or a checkpoint says otherwise of it.
    pub fn leaves_the_model(self) -> bool {
        matches!(
            self,
            Code::Expectation
                | Code::NotMeasured
                | Code::UnknownWork
                | Code::WeightsFile
                | Code::MissingTensor
                | Code::StoredShape
        )
    }

    /// Whether it is about names alone, which can be told without knowing a size.
    pub(crate) fn is_about_names(self) -> bool {
        matches!(
            self,
            Code::UnknownName
                | Code::UnknownLayer
                | Code::UnknownArgument
                | Code::NotInFile
                | Code::NotALayer
                | Code::OutsideBlock
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}
