//! What is known of a layer before it is used.

use crate::{
    Arg, Arguments, Called, Inputs, Kind, Layer, Param, Reason, Refusal, Signature, TensorType,
    arguments::IGNORED, refusal::At,
};

/// Makes a layer from its arguments and the types of its inputs.
pub type Bind = fn(&Arguments, &[TensorType]) -> Result<Box<dyn Layer>, Refusal>;

/// What is known of a layer before it is used.
#[derive(Debug)]
pub struct Entry {
    /// Its name, as in `torch.nn`.
    pub name: &'static str,
    /// Its name in `torch.nn.functional`, if it can be called there.
    pub function: Option<&'static str>,
    /// Its arguments in PyTorch's order.
    pub params: &'static [Param],
    /// The tensors it takes.
    pub inputs: Inputs,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Shapes and cost, in Markdown.
    pub doc: &'static str,
    /// The page that its shapes and formulas come from.
    pub source: &'static str,
    /// Checks arguments and inputs and makes the layer.
    pub bind: Bind,
    /// The argument with which it has more than one value.
    pub more_values: Option<&'static str>,
    /// What PyTorch's signature has and the input tells.
    pub given_by_input: &'static [GivenByInput],
}

/// A size that PyTorch's signature has and ours lacks.
#[derive(Debug, Clone, Copy)]
pub struct GivenByInput {
    /// Its name in PyTorch.
    pub name: &'static str,
    /// Its place in PyTorch's signature.
    pub place: usize,
    /// What it is for these inputs, in PyTorch's words; `None` if they are no such inputs.
    pub(crate) size: fn(&[TensorType]) -> Option<u64>,
    /// Whether arguments that could be meant are unlikely, so that PyTorch's order is likelier.
    pub(crate) is_doubtful: fn(&Arguments) -> bool,
}

impl GivenByInput {
    /// In the first place, and with nothing to tell the two readings apart but that one of them fails.
    pub(crate) const fn first(
        name: &'static str,
        size: fn(&[TensorType]) -> Option<u64>,
    ) -> GivenByInput {
        GivenByInput { name, place: 0, size, is_doubtful: |_| false }
    }
}

impl Entry {
    /// What most layers say of themselves, for `..Entry::PLAIN`.
    pub(crate) const PLAIN: Entry = Entry {
        name: "",
        function: None,
        params: &[],
        inputs: Inputs::Named(&["input"]),
        summary: "",
        doc: "",
        source: "",
        bind: |arguments, _| {
            let message = format!("`{}` has no rule", arguments.signature().name);
            Err(Refusal::new(Reason::WrongArgument, At::Layer, message))
        },
        more_values: None,
        given_by_input: &[],
    };

    /// Its name and arguments.
    pub fn signature(&self) -> Signature {
        Signature { name: self.name, params: self.params }
    }

    /// Binds positional and named arguments, as Python does.
    ///
    /// # Errors
    /// For an argument that the layer does not have, has twice, or lacks.
    pub fn arguments(
        &self,
        positional: &[Arg],
        named: &[(&str, Arg)],
    ) -> Result<Arguments, Refusal> {
        Arguments::bind(self.signature(), positional, named)
    }

    /// Whether an argument has no meaning here, whatever it is.
    pub fn ignores(&self, argument: &str) -> bool {
        match self.params.iter().find(|param| param.name == argument) {
            Some(param) => param.kind == Kind::Ignored,
            None => IGNORED.contains(&argument),
        }
    }

    /// Whether it takes this number of tensors, and if not, how many it takes, in words.
    pub fn check_inputs(&self, called: Called, count: usize) -> Result<(), String> {
        let (least, most) = self.inputs.range();
        if (least..=most).contains(&count) {
            return Ok(());
        }
        let tensors = |count: usize| match count {
            0 => "no tensor".to_owned(),
            1 => "1 tensor".to_owned(),
            _ => format!("{count} tensors"),
        };
        let wanted = match self.inputs {
            Inputs::Many => "1 or more tensors".to_owned(),
            _ if least == most => tensors(most),
            _ => format!("{least} to {most} tensors"),
        };
        Err(format!("`{}` takes {wanted}, not {count}", self.written(called)))
    }

    /// How it is written where it is called so: `ReLU`, `F.relu`, `torch.mm`.
    pub fn written(&self, called: Called) -> String {
        match (called.prefix(), self.function) {
            (Some(prefix), Some(function)) => format!("{prefix}.{function}"),
            _ => self.name.to_owned(),
        }
    }
}
