//! Candle: structs of `candle_nn`'s modules that read the model's parameters by their names.

mod arguments;
mod forward;
mod functions;
mod helper_texts;
mod modules;
mod names;
mod operators;
mod pictures;
mod sequences;
mod writer;

use std::collections::{BTreeSet, HashMap};

use analysis::{FileId, Model, Options, Workspace};
use heck::ToSnakeCase;

use self::{
    arguments::tuple,
    forward::Forward,
    helper_texts::{helper_types, sections},
    writer::{Field, Form, Writer, counting},
};
use crate::{
    classes::{Class, Classes, UnitId, Written},
    export::{
        Error, Exported, class_name, doc, heights, indented, introduction,
        sizes::{self, Freedom, Runs},
        sizes_that_are,
        unit::{Callee, Child, ChildKind, Input, Operand, Units},
    },
    template::Template,
};

/// The model as a Rust module that uses Candle.
///
/// # Errors
/// If a part of it has no steps, or Candle has nothing of a layer's kind.
pub fn candle(
    workspace: &Workspace,
    file: FileId,
    options: &Options,
    model: &Model,
) -> Result<Exported, Error> {
    sizes::with_as_few_fixed(model.symbols.len(), |fixed| {
        let runs = Runs::new(workspace, file, options, model, fixed);
        let text = written(workspace, model, &runs)?;
        Ok(Exported { text, fixed: sizes_that_are(&Freedom::Fixed, model, &runs.freedom) })
    })
}

fn written(workspace: &Workspace, model: &Model, runs: &Runs) -> Result<String, Error> {
    let (units, root) = Units::of(workspace, runs.part(model))?;
    let mut writer = Writer {
        workspace,
        units: &units.all,
        forms: vec![Form::Struct; units.all.len()],
        fields: HashMap::new(),
        classes: Classes::default(),
        needed: BTreeSet::new(),
    };
    for name in names::TYPES.iter().copied().chain(helper_types()).chain(OF_CANDLE.iter().copied())
    {
        writer.classes.reserve(name);
    }
    writer.write_structs(root)?;
    Ok(writer.file(model, &runs.freedom))
}

/// Modules of Candle that a field may be.
const OF_CANDLE: &[&str] = &[
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Embedding",
    "GroupNorm",
    "LayerNorm",
    "Linear",
    "PReLU",
    "RmsNorm",
];

impl<'m> Writer<'_, 'm> {
    /// The structs of all units, from the inside out.
    fn write_structs(&mut self, root: UnitId) -> Result<(), Error> {
        let heights = heights(self.units);
        let highest = heights.iter().copied().max().unwrap_or(0);
        for height in 0..=highest {
            let mut written = Vec::new();
            for (index, _) in heights.iter().enumerate().filter(|(_, own)| **own == height) {
                let id = UnitId(index);
                if id != root && self.is_list(id) {
                    self.forms[index] = Form::List;
                } else {
                    written.push(self.written(id)?);
                }
            }
            self.classes.add(written);
        }
        Ok(())
    }

    /// Braces of equal structs whose names count, each of which takes what the one before it gave, and
    /// beside it the same.
    fn is_list(&self, id: UnitId) -> bool {
        let unit = self.unit(id);
        if unit.item.is_some() || !unit.ties.is_empty() || counting(&unit.children).is_none() {
            return false;
        }
        if self.struct_of_all(&unit.children).is_none() {
            return false;
        }
        let [Input::Value(first), rest @ ..] = &unit.inputs[..] else { return false };
        let mut value = first;
        if unit.calls.len() != unit.children.len() {
            return false;
        }
        for (index, call) in unit.calls.iter().enumerate() {
            let [Operand::Value(operand), others @ ..] = &call.operands[..] else { return false };
            let [output] = &call.outputs[..] else { return false };
            let is_next = matches!(call.callee, Callee::Child(child) if child == index);
            let are_inputs = others.len() == rest.len()
                && others.iter().zip(rest).all(|(other, input)| match (other, input) {
                    (Operand::Value(value), Input::Value(input)) => value == input,
                    _ => false,
                });
            if !is_next || operand != value || !are_inputs {
                return false;
            }
            value = output;
        }
        unit.outputs == [value.clone()]
    }

    fn written(&mut self, id: UnitId) -> Result<Written, Error> {
        let fields = self.fields_of(id)?;
        let types: Vec<String> =
            fields.iter().map(|field| format!("{}: {}", field.name, field.ty)).collect();
        let taken = fields.iter().map(|field| field.name.clone()).collect();
        self.fields.insert(id, fields);
        let init = self.init(id)?;
        let forward = Forward::new(self, id).lines()?;
        let name = class_name(self.units, self.unit(id), names::type_name);
        Ok(Written {
            unit: id,
            name,
            init: Template::joined(init, "\n"),
            forward: Template::joined(forward, "\n"),
            taken,
            also: types.join("\n"),
        })
    }

    /// The fields of a struct, one for each child that owns something.
    fn fields_of(&self, id: UnitId) -> Result<Vec<Field>, Error> {
        let unit = self.unit(id);
        if let Some(ty) = self.listed(id) {
            let name = format!("{}s", ty.to_snake_case());
            return Ok(vec![Field { name, ty: format!("Vec<{ty}>") }]);
        }
        let mut fields: Vec<Field> = Vec::new();
        for child in unit.children.iter().filter(|child| self.is_field(&child.what)) {
            let ty = match &child.what {
                ChildKind::Tensor(_) => "Tensor".to_owned(),
                ChildKind::Layer(step) => self.module(step, "vb")?.ty.to_owned(),
                ChildKind::Unit(id) => self.type_of(*id),
            };
            let wanted = match child.path.starts_with(|first: char| first.is_ascii_digit()) {
                true => {
                    let kind = match &child.what {
                        ChildKind::Layer(step) => names::snake(step.shown().kind()),
                        _ => ty.trim_start_matches("Vec<").trim_end_matches('>').to_snake_case(),
                    };
                    format!("{kind}_{}", child.path.replace('.', "_"))
                }
                false => names::variable(&child.path.replace('.', "_")),
            };
            let is_free = |name: &str| fields.iter().all(|field| field.name != name);
            fields.push(Field { name: crate::names::free(&wanted, is_free), ty });
        }
        Ok(fields)
    }

    fn type_of(&self, id: UnitId) -> String {
        match self.form(id) {
            Form::Struct => self.classes.made[&id].class.clone(),
            Form::List => {
                format!("Vec<{}>", self.struct_of_all(&self.unit(id).children).unwrap_or_default())
            }
        }
    }

    /// The lines of the constructor.
    fn init(&mut self, id: UnitId) -> Result<Vec<Template>, Error> {
        let units = self.units;
        let unit = &units[id.0];
        let mut lines = Vec::new();
        if !unit.ties.is_empty() {
            self.needed.insert("tied");
            let ties = unit.ties.iter().map(|(tied, owner)| format!("({tied:?}, {owner:?})"));
            let ties = ties.collect::<Vec<_>>().join(", ");
            lines.push(Template::text(format!("let vb = tied(vb, &[{ties}]);")));
        }
        let fields = self.fields[&id].clone();
        if self.listed(id).is_some() {
            let mut line = Template::text(format!("Ok(Self {{\n    {}: ", fields[0].name));
            line.append(self.list(id, "vb").indented());
            line.push(",");
            lines.push(line);
            return Ok(lines);
        }
        let children = unit.children.iter().filter(|child| self.is_field(&child.what));
        let children: Vec<&Child<'m>> = children.collect();
        lines.push(Template::text("Ok(Self {"));
        for (field, child) in fields.iter().zip(children) {
            let made = self.made(child)?.prefixed(&field.name);
            let mut line = Template::text(format!("    {}: ", field.name));
            line.append(made.indented());
            line.push(",");
            lines.push(line);
        }
        Ok(lines)
    }

    /// The expression that makes a field.
    fn made(&mut self, child: &Child<'m>) -> Result<Template, Error> {
        let path = &child.path;
        match &child.what {
            ChildKind::Layer(step) => {
                let module = self.module(step, &format!("vb.pp({path:?})"))?;
                self.needed.insert(module.ty);
                Ok(module.made)
            }
            ChildKind::Tensor(tensor) => {
                let sizes =
                    tensor.shape.iter().map(|size| Template::hole("shape", size.to_string()));
                let shape = tuple(sizes.collect());
                let shape = if shape.is_empty() { Template::text("()") } else { shape };
                let mut text = Template::default();
                match tensor.dtype.is_float() {
                    true => {
                        text.push("vb.get(");
                        text.append(shape);
                        text.push(&format!(", {path:?})?"));
                    }
                    false => {
                        let dtype = arguments::dtype(tensor.dtype)
                            .map_err(|reason| Error::refused(path, reason))?;
                        text.push("vb.get_with_hints_dtype(");
                        text.append(shape);
                        text.push(&format!(", {path:?}, Default::default(), {dtype})?"));
                    }
                }
                Ok(text)
            }
            ChildKind::Unit(id) if self.form(*id) == Form::List => {
                Ok(self.list(*id, &format!("vb.pp({path:?})")))
            }
            ChildKind::Unit(id) => Ok(self.constructed(*id, &format!("vb.pp({path:?})"))),
        }
    }

    /// `Block::new(64, vb.pp("block"))?`
    fn constructed(&self, id: UnitId, vb: &str) -> Template {
        let made = &self.classes.made[&id];
        let arguments =
            made.arguments.iter().map(|hole| Template::hole(&hole.name, hole.value.clone()));
        let mut text = Template::text(format!("{}::new(", made.class));
        text.append(Template::joined(arguments.chain([Template::text(vb)]), ", "));
        text.push(")?");
        text
    }

    /// `Vec::from([…])`, or a loop over equal ones; `vb` is the text of what has the parameters of all.
    fn list(&self, id: UnitId, vb: &str) -> Template {
        let unit = self.unit(id);
        let units: Vec<UnitId> = unit
            .children
            .iter()
            .filter_map(|child| match child.what {
                ChildKind::Unit(id) => Some(id),
                _ => None,
            })
            .collect();
        let Some((prefix, start)) = counting(&unit.children) else { return Template::default() };
        let made = &self.classes.made[&units[0]];
        let are_equal = units.iter().all(|id| self.classes.made[id] == *made);
        if are_equal && units.len() > 2 {
            let range = format!("{start}..{}", start + units.len());
            let mut text = Template::text("(");
            text.append(Template::hole("depth", range));
            text.push(").map(|i| ");
            let vb = match prefix.is_empty() {
                true => format!("{vb}.pp(i)"),
                false => format!("{vb}.pp(format!(\"{prefix}{{i}}\"))"),
            };
            let one = self.constructed(units[0], &vb);
            text.append(one.before("?").unwrap_or(one));
            text.push(").collect::<Result<_>>()?");
            return text;
        }
        let mut text = Template::text("Vec::from([");
        for (child, id) in unit.children.iter().zip(units) {
            text.push("\n    ");
            text.append(self.constructed(id, &format!("{vb}.pp({:?})", child.path)));
            text.push(",");
        }
        text.push("\n])");
        text
    }

    /// The whole file.
    fn file(&self, model: &Model, freedom: &[Freedom]) -> String {
        let structs: Vec<String> =
            self.classes.all.iter().map(|class| self.structure(class)).collect();
        let body = structs.join("\n\n");
        let helpers = self.helpers();
        let all = format!("{body}\n{}", helpers.join("\n"));
        let head = introduction(
            model,
            freedom,
            "It infers: normalisation uses running statistics, dropout does nothing.",
        );
        let head: String = head
            .lines()
            .map(|line| if line.is_empty() { "//!\n".to_owned() } else { format!("//! {line}\n") })
            .collect();
        let core = if all.contains("DType::") { "DType, Result, Tensor" } else { "Result, Tensor" };
        let of_nn = OF_CANDLE.iter().chain(&["Module", "ModuleT"]).copied();
        let mut nn: Vec<&str> = of_nn.filter(|name| self.needed.contains(name)).collect();
        nn.push("VarBuilder");
        nn.sort_unstable();
        let mut text = format!(
            "{head}\nuse candle_core::{{{core}}};\nuse candle_nn::{};\n\n",
            if nn.len() == 1 { nn[0].to_owned() } else { format!("{{{}}}", nn.join(", ")) },
        );
        text.push_str(&formatted(&body));
        for helper in helpers {
            text.push('\n');
            text.push_str(helper);
            text.push('\n');
        }
        text
    }

    /// The texts of the helpers that are used, and of those that they use.
    fn helpers(&self) -> Vec<&'static str> {
        let all = sections();
        let mut needed: BTreeSet<&str> = self.needed.clone();
        loop {
            let more: Vec<&str> = all
                .iter()
                .filter(|(name, _)| !needed.contains(name))
                .filter(|(name, _)| {
                    let used = all.iter().filter(|(user, _)| needed.contains(user));
                    used.into_iter().any(|(_, text)| calls(text, name))
                })
                .map(|(name, _)| *name)
                .collect();
            if more.is_empty() {
                break;
            }
            needed.extend(more);
        }
        all.into_iter().filter(|(name, _)| needed.contains(name)).map(|(_, text)| text).collect()
    }

    fn structure(&self, class: &Class) -> String {
        let first = class.units[0];
        let doc = doc(self.workspace, self.unit(first)).unwrap_or_default();
        let doc: String = doc.lines().map(|line| format!("/// {line}\n")).collect();
        let kept: Vec<(String, String)> =
            class.kept.iter().map(|name| (name.clone(), self.type_of_param(class, name))).collect();
        let fields = self.fields[&first].iter().map(|field| (field.name.clone(), field.ty.clone()));
        let fields: String =
            fields.chain(kept.clone()).map(|(name, ty)| format!("    {name}: {ty},\n")).collect();
        let params =
            class.params.iter().map(|name| format!("{name}: {}", self.type_of_param(class, name)));
        let vb = if class.init.contains("vb") { "vb: VarBuilder" } else { "_: VarBuilder" };
        let params: Vec<String> = params.chain([vb.to_owned()]).collect();
        let kept: String = kept.iter().map(|(name, _)| format!("    {name},\n")).collect();
        let init = match fields.is_empty() {
            true => "Ok(Self {})".to_owned(),
            false => format!("{}\n{kept}}})", class.init),
        };
        let many = if params.len() > 7 { "    #[allow(clippy::too_many_arguments)]\n" } else { "" };
        format!(
            "{doc}#[derive(Debug, Clone)]\npub struct {name} {{\n{fields}}}\n\nimpl {name} {{\n{many}    \
             pub fn new({params}) -> Result<Self> {{\n{init}\n    }}\n\n{forward}\n}}",
            name = class.name,
            params = params.join(", "),
            init = indented(&init, 2),
            forward = indented(&class.forward, 1),
        )
    }

    /// The type of what a constructor takes, by its values.
    fn type_of_param(&self, class: &Class, name: &str) -> String {
        let values = class.units.iter().filter_map(|id| {
            let made = &self.classes.made[id];
            made.arguments.iter().find(|hole| hole.name == name).map(|hole| hole.value.as_str())
        });
        let values: Vec<&str> = values.collect();
        let all = |is: &dyn Fn(&str) -> bool| values.iter().all(|value| is(value));
        let ty = if all(&|value| value.parse::<usize>().is_ok()) {
            "usize"
        } else if all(&|value| value.parse::<i32>().is_ok()) {
            "i32"
        } else if all(&|value| value == "true" || value == "false") {
            "bool"
        } else if all(&|value| value.contains("..")) {
            "std::ops::Range<usize>"
        } else {
            "f64"
        };
        ty.to_owned()
    }
}

/// Items with the usual spaces and breaks, and a line between any two.
fn formatted(items: &str) -> String {
    // What is written here is Rust; were it not, it would be seen where it is compiled.
    let Ok(parsed) = syn::parse_file(items) else { return items.to_owned() };
    let mut text = String::new();
    let mut before = "";
    let unparsed = prettyplease::unparse(&parsed);
    for line in unparsed.lines() {
        let ends_item = before == "}"
            || (before.ends_with("{}") && !before.starts_with(' '))
            || (before == "    }" && line.trim_start().starts_with("pub fn"));
        if ends_item && !line.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
        text.push('\n');
        before = line;
    }
    text
}

/// Whether a text calls a function, or names a type.
fn calls(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        let is_word =
            before.is_some_and(|letter| letter.is_alphanumeric() || "_.".contains(letter));
        !is_word && matches!(after, Some('(' | ':'))
    })
}
