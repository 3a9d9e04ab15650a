//! Using a layer of the catalogue: arguments bound, shapes and costs asked for, refusals told.

use std::sync::Arc;

use conventions::Call;
use layers::{
    Arguments, At, Called, Cost, DType, Entry, Kind, Layer, ParameterTensor, Reason, Refusal,
    TensorType, WayOut,
};
use smol_str::SmolStr;
use syntax::ast;

use crate::{
    Code, Diagnostic, NodeRef, Place, Source, Step, Totals, What,
    evaluate::{
        Run,
        frame::{Frame, Pending},
        scope::Found,
        spellings::is_alone,
        value::{Argument, Binding, Named, Origin, Recipe, Tensor, Value},
    },
    written::{Counted, LayerUse, StepPath},
};

/// Tensors given for parameters (`weight=wte.weight`), by the parameter's name.
type Given = Vec<(String, Tensor)>;

/// A layer about to be used.
pub(crate) struct Use {
    pub kind: &'static str,
    pub entry: Option<&'static Entry>,
    pub layer: Box<dyn Layer>,
    pub arguments: Option<Arc<Arguments>>,
    pub given: Vec<(String, Source)>,
    pub called: Called,
}

impl<'w> Run<'w> {
    /// Uses a layer of the catalogue on tensors.
    pub(crate) fn apply_entry(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        entry: &'static Entry,
        recipe: &Recipe,
        input: &Value,
        called: Called,
    ) -> Value {
        let types: Vec<TensorType> = match input.as_tensors() {
            Some(tensors) if entry.check_inputs(called, tensors.len()).is_ok() => {
                tensors.iter().map(|tensor| (*tensor.ty).clone()).collect()
            }
            _ => Vec::new(),
        };
        let Some((arguments, given)) = self.bind(frame, node, entry, recipe, &types) else {
            return Value::Unknown;
        };
        let none = entry.inputs.range().1 == 0;
        let tensors: &[Tensor] = match input {
            _ if none => &[],
            Value::Unknown => return Value::Unknown,
            Value::None => {
                let message = format!(
                    "there is no tensor for `{}` to take: the model has no `input`",
                    entry.name
                );
                self.error(Code::NotATensor, node, message);
                return Value::Unknown;
            }
            other => match other.as_tensors() {
                Some(tensors) => tensors,
                None => {
                    let message =
                        format!("`{}` takes a tensor, not {}", entry.name, other.describe());
                    self.error(Code::NotATensor, node, message);
                    return Value::Unknown;
                }
            },
        };
        if let Err(message) = entry.check_inputs(called, tensors.len()) {
            match entry.inputs.range() {
                (_, 1) => self.report_several(frame, node, message, tensors),
                _ => self.error(Code::WrongInputs, node, message),
            }
            return Value::Unknown;
        }
        let types = if none { Vec::new() } else { types };
        let made =
            (entry.bind)(&arguments, &types).and_then(|layer| Ok((layer.outputs(&types)?, layer)));
        let as_in_pytorch = match &made {
            Ok(_) => size_given_by_input(recipe, entry, &types, Ok(&arguments)),
            Err(refusal) => size_given_by_input(recipe, entry, &types, Err(refusal)),
        };
        let (outputs, layer) = match as_in_pytorch.map_or(made, Err) {
            Ok(made) => made,
            Err(refusal) => {
                self.refuse(frame, node, Some(recipe), tensors, &refusal);
                return Value::Unknown;
            }
        };
        if !self.check_given(frame, node, &*layer, entry, &given, called) {
            return Value::Unknown;
        }
        let used = Use {
            kind: entry.name,
            entry: Some(entry),
            layer,
            arguments: Some(arguments),
            given: given.into_iter().map(|(name, tensor)| (name, tensor.source())).collect(),
            called,
        };
        self.use_layer(frame, node, used, tensors, &types, outputs)
    }

    /// Binds a recipe's arguments: settings, and tensors that are given for parameters.
    fn bind(
        &mut self,
        frame: &Frame,
        node: NodeRef,
        entry: &'static Entry,
        recipe: &Recipe,
        types: &[TensorType],
    ) -> Option<(Arc<Arguments>, Given)> {
        if let Some(bound) = recipe.bound.get().filter(|bound| bound.dtype == frame.dtype) {
            return Some((bound.clone(), Vec::new()));
        }
        let (mut positional, mut named, mut given) = (Vec::new(), Vec::new(), Vec::new());
        let mut unknown = false;
        for argument in &recipe.arguments {
            match (&argument.value, &argument.name) {
                (Value::Unknown, Some(name))
                    if is_parameter_name(name)
                        || entry.params.iter().any(|param| param.name == *name) =>
                {
                    unknown = true;
                }
                (Value::Unknown, None) => unknown = true,
                (Value::Tensor(tensor), Some(name)) => {
                    given.push((name.to_string(), tensor.clone()))
                }
                // `weight=none` and `bias=none` give nothing.
                (Value::None, Some(name))
                    if is_parameter_name(name)
                        && entry
                            .params
                            .iter()
                            .all(|param| param.name != *name || param.kind == Kind::Bool) => {}
                (value, name) => match (value.to_arg(), name) {
                    (Some(value), Some(name)) => named.push((name.as_str(), value)),
                    (Some(value), None) => positional.push(value),
                    (None, Some(name)) if value.is_unknown() => {
                        named.push((name.as_str(), layers::Arg::None))
                    }
                    (None, _) if value.holds_tensors() => {
                        self.report_tensor_argument(node, recipe, argument);
                        return None;
                    }
                    (None, _) => {
                        let message = format!(
                            "`{}` does not take {} as an argument",
                            entry.name,
                            value.describe()
                        );
                        self.error(Code::WrongValue, argument.node, message);
                        return None;
                    }
                },
            }
        }
        if unknown {
            // What is known of the arguments is their names.
            if let Some(bad) =
                named.iter().find(|(name, _)| entry.params.iter().all(|param| param.name != *name))
            {
                let bad = std::slice::from_ref(bad);
                if let Err(refusal) = entry.arguments(&[], bad) {
                    let given = layers::size_given_by_input(entry, &[], bad, types, Err(&refusal));
                    let refusal = given.unwrap_or(refusal);
                    self.refuse(frame, node, Some(recipe), &[], &refusal);
                }
            }
            return None;
        }
        match entry.arguments(&positional, &named) {
            Ok(arguments) => {
                let names = given.iter().map(|(name, _)| name.clone()).collect();
                let arguments = arguments.with_given(names).with_dtype(frame.dtype);
                let arguments = Arc::new(arguments);
                if given.is_empty() {
                    let _ = recipe.bound.set(arguments.clone());
                }
                Some((arguments, given))
            }
            Err(refusal) => {
                let as_in_pytorch = size_given_by_input(recipe, entry, types, Err(&refusal));
                let refusal = as_in_pytorch.unwrap_or(refusal);
                self.refuse(frame, node, Some(recipe), &[], &refusal);
                None
            }
        }
    }

    /// Each given tensor must be a parameter of the layer, and have its shape. A function has none of its own,
    /// so each of them must be given; the run that builds says so for all.
    fn check_given(
        &mut self,
        frame: &Frame,
        node: NodeRef,
        layer: &dyn Layer,
        entry: &Entry,
        given: &[(String, Tensor)],
        called: Called,
    ) -> bool {
        let takes_all = called != Called::Module && self.setting.builds;
        if given.is_empty() && !takes_all {
            return true;
        }
        let parameters = match layers::parameters(layer, frame.dtype) {
            Ok(parameters) => parameters,
            Err(refusal) => {
                self.refuse(frame, node, None, &[], &refusal);
                return false;
            }
        };
        for (name, tensor) in given {
            let Some(parameter) = parameters.iter().find(|parameter| parameter.name == *name)
            else {
                let names: Vec<&str> =
                    parameters.iter().map(|parameter| parameter.name.as_str()).collect();
                let has = if names.is_empty() {
                    "none".to_owned()
                } else {
                    format!("`{}`", names.join("`, `"))
                };
                let message = format!("`{}` has no parameter `{name}`; it has {has}", entry.name);
                self.error(Code::UnknownArgument, node, message);
                return false;
            };
            if parameter.shape != tensor.ty.shape {
                let message = format!(
                    "`{name}` of this `{}` is {}; `{}` is {}",
                    entry.name,
                    parameter.shape,
                    path_of(tensor),
                    tensor.ty.shape
                );
                self.error(Code::TiedShape, node, message);
                return false;
            }
        }
        let is_missing = |name: &&str| given.iter().all(|(given, _)| given != name);
        let names = parameters.iter().map(|parameter| parameter.name.as_str());
        let missing: Vec<&str> = names.filter(is_missing).collect();
        if let Some(first) = missing.first().filter(|_| takes_all) {
            let without = match *first {
                "bias" => ", or `bias=false`",
                _ => "",
            };
            let message = format!(
                "`{}` has no parameters of its own: give it `{}` (`{first}=`){without}, or use `{}`",
                entry.written(called),
                missing.join("` and `"),
                entry.name,
            );
            self.error(Code::MissingArgument, node, message);
            return false;
        }
        true
    }

    /// Makes the step of a layer.
    pub(crate) fn use_layer(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        used: Use,
        tensors: &[Tensor],
        types: &[TensorType],
        outputs: Vec<TensorType>,
    ) -> Value {
        if !self.count_steps(1, node) {
            return Value::Unknown;
        }
        if let Some(output) = outputs.iter().find(|output| output.shape.len() > layers::MAX_DIMS) {
            let message = format!(
                "a tensor has at most {} dimensions, not {}",
                layers::MAX_DIMS,
                output.shape.len()
            );
            self.error(Code::TooLarge, node, message);
            return Value::Unknown;
        }
        let (parameters, totals) = match self.count(frame, &used, tensors, types, &outputs) {
            Ok(counted) => counted,
            Err(refusal) => {
                self.refuse(frame, node, None, tensors, &refusal);
                return Value::Unknown;
            }
        };
        let view_of = if used.layer.is_view() { tensors.first() } else { None };
        let made: Vec<Tensor> =
            outputs.into_iter().map(|output| frame.new_tensor(output, node, view_of)).collect();
        let is_module = used.called == Called::Module;
        let Use { kind, entry, layer, arguments, given, called } = used;
        let is_counted = self.counts(kind);
        let layer = LayerUse {
            kind,
            entry,
            layer,
            arguments,
            called,
            takes_one: takes_one(frame, tensors),
            is_counted,
            parameters,
            given,
            stack: self.stack,
            counted: self.setting.count.map(|convention| Counted { convention, batch: self.batch }),
        };
        let step = Step {
            id: self.next_id(),
            node,
            path: StepPath::default(),
            what: What::Layer(Box::new(layer)),
            inputs: tensors.iter().map(Tensor::taken).collect(),
            outputs: made.iter().filter_map(Tensor::flowing).collect(),
            continued: false,
            reused: frame.reusing,
            idle: frame.idle,
            totals: totals.in_place(frame.reusing, frame.idle),
        };
        frame.pending.push(Pending { step, is_module, has_path: false });
        Value::tensors(made)
    }

    /// Whether the work of layers of a kind counts.
    pub(crate) fn counts(&self, kind: &str) -> bool {
        let (ignored, only) = (&self.setting.ignored, &self.setting.only);
        self.setting.costs
            && ignored.iter().all(|ignored| ignored != kind)
            && (only.is_empty() || only.iter().any(|only| only == kind))
    }

    /// The parameters and the sums of a layer.
    fn count(
        &mut self,
        frame: &Frame,
        used: &Use,
        tensors: &[Tensor],
        types: &[TensorType],
        outputs: &[TensorType],
    ) -> Result<(Vec<ParameterTensor>, Totals), Refusal> {
        let mut totals = Totals { leaves: 1, ..Totals::default() };
        if self.setting.costs {
            let cost = match (self.counts(used.kind), self.setting.count) {
                (false, _) => Cost::free(),
                (true, None) => used.layer.cost(types, outputs),
                (true, Some(convention)) => convention.cost(&Call {
                    kind: used.kind,
                    layer: &*used.layer,
                    arguments: used.arguments.as_deref(),
                    called: used.called,
                    inputs: types,
                    takes_one: takes_one(frame, tensors),
                    outputs,
                    batch: self.batch,
                })?,
            };
            (totals.macs, totals.flops) = (cost.macs()?, cost.flops()?);
            let bytes = |ty: &TensorType| ty.bytes();
            if !used.layer.is_view() {
                for output in outputs {
                    totals.activation_bytes = totals
                        .activation_bytes
                        .checked_add(bytes(output)?)
                        .ok_or(layers::Overflow)?;
                }
            }
            let width = outputs.first().map_or(0, |output| u128::from(output.dtype.bytes()));
            totals.cache_bytes = cost.cache.checked_mul(width).ok_or(layers::Overflow)?;
        }
        let mut parameters = Vec::new();
        if self.setting.builds && used.called == Called::Module {
            parameters = layers::parameters(&*used.layer, frame.dtype)?;
            parameters.retain(|tensor| used.given.iter().all(|(name, _)| *name != tensor.name));
            if let Some(stack) = self.stack {
                parameters = stack.of(parameters);
            }
            totals = totals.with_parameters(&parameters, self.stack)?;
        }
        Ok((parameters, totals))
    }

    /// The parameters of a step's layer, built if this run does not build; within the braces of
    /// experts those of one of them.
    pub(crate) fn parameters_of(&self, step: &Step, dtype: DType) -> Vec<ParameterTensor> {
        match &step.what {
            What::Layer(layer) if self.setting.builds && layer.stack.is_none() => {
                layer.parameters.clone()
            }
            What::Layer(layer) => {
                let of_one = layers::parameters(&*layer.layer, dtype).unwrap_or_default();
                match layer.stack {
                    Some(stack) if self.stack.is_none() => stack.of(of_one),
                    _ => of_one,
                }
            }
            What::Declared(tensor) => vec![tensor.clone()],
            _ => Vec::new(),
        }
    }

    /// Whether a step is a module with parameters. A run that does not build asks the layers.
    pub(crate) fn has_parameters(&self, step: &Step, dtype: DType) -> bool {
        if self.setting.builds || step.has_parameters() {
            return step.has_parameters();
        }
        let builds = matches!(&step.what, What::Layer(layer) if layer.called == Called::Module);
        (builds && !self.parameters_of(step, dtype).is_empty())
            || step.children().iter().any(|child| self.has_parameters(child, dtype))
    }

    /// Says why a layer cannot be made, at the argument or step that it is about.
    pub(crate) fn refuse(
        &mut self,
        frame: &Frame,
        node: NodeRef,
        recipe: Option<&Recipe>,
        tensors: &[Tensor],
        refusal: &Refusal,
    ) {
        let code = match refusal.reason {
            Reason::UnknownArgument => Code::UnknownArgument,
            Reason::MissingArgument => Code::MissingArgument,
            Reason::WrongArgument => Code::WrongArgument,
            Reason::WrongNumberOfInputs => Code::WrongInputs,
            Reason::WrongShape => Code::WrongShape,
            Reason::WrongDtype => Code::WrongDtype,
            Reason::Overflow => Code::Overflow,
        };
        let argument = recipe.and_then(|recipe| argument_at(recipe, &refusal.at));
        let place = self.place(argument.map_or(node, |argument| argument.node));
        let mut diagnostic = Diagnostic::new(code, place, refusal.message.clone());
        if let At::Input(input) = refusal.at
            && let Some(tensor) = tensors.get(input)
            && let Origin::Step(id) = tensor.origin
        {
            let maker = frame.makers[id.0 as usize];
            if maker != node {
                let shape = &tensor.ty.shape;
                diagnostic = diagnostic.related(self.place(maker), format!("this is {shape}"));
            }
        }
        if let Some((argument, way_out)) = argument.zip(refusal.way_out.as_ref()) {
            diagnostic = self.with_way_out(diagnostic, argument.node, way_out);
        }
        if let (Reason::WrongDtype, [tensor]) = (refusal.reason, tensors)
            && tensor.ty.dtype.is_float()
        {
            diagnostic = self.with_whole_numbers(frame, node, diagnostic);
        }
        self.report(diagnostic);
    }

    /// A layer that takes whole numbers, where others flow: the model's one input that has them is named.
    fn with_whole_numbers(
        &self,
        frame: &Frame,
        node: NodeRef,
        mut diagnostic: Diagnostic,
    ) -> Diagnostic {
        let is_whole = |name: &SmolStr| {
            let Some(Found::Seen(Binding { what: Named::Input(Value::Tensor(tensor)), .. })) =
                frame.scope.find(name)
            else {
                return false;
            };
            tensor.ty.dtype.is_integer()
        };
        let mut names = frame.scope.all_names();
        names.retain(is_whole);
        let [name] = &names[..] else { return diagnostic };
        let stage = self.workspace.node(node);
        let step = format!("{name} -> {}", stage.text());
        diagnostic.message.push_str(&format!("; `{step}` takes those of `{name}`"));
        match is_alone(stage) {
            true => diagnostic.fix(format!("Write `{step}`"), self.place(node), step),
            false => diagnostic,
        }
    }

    fn with_way_out(
        &self,
        mut diagnostic: Diagnostic,
        argument: NodeRef,
        way_out: &WayOut,
    ) -> Diagnostic {
        let file = argument.file;
        let Some(syntax) = ast::Argument::cast(self.workspace.node(argument)) else {
            return diagnostic;
        };
        match way_out {
            WayOut::Rename(name) => {
                let Some(written) = syntax.name() else { return diagnostic };
                diagnostic.place = Place { file, range: written.range() };
                let place = diagnostic.place;
                diagnostic.fix(format!("Write `{name}`"), place, name.clone())
            }
            WayOut::Replace(text) => {
                let place = self.workspace.place(argument);
                diagnostic.fix(format!("Write `{text}`"), place, text.clone())
            }
            WayOut::LeaveOut => match syntax.with_separator() {
                Some(range) => diagnostic.fix("Leave it out", Place { file, range }, String::new()),
                None => diagnostic,
            },
        }
    }
}

/// What PyTorch's signature has and the input tells, if this call has it.
fn size_given_by_input(
    recipe: &Recipe,
    entry: &'static Entry,
    types: &[TensorType],
    made: Result<&Arguments, &Refusal>,
) -> Option<Refusal> {
    // Most calls are as they should be.
    if entry.given_by_input.is_empty() || recipe.arguments.is_empty() {
        return None;
    }
    let (mut positional, mut named) = (Vec::new(), Vec::new());
    for argument in &recipe.arguments {
        match (&argument.name, argument.value.to_arg()) {
            (None, value) => positional.push(value?),
            (Some(name), Some(value)) => named.push((name.as_str(), value)),
            // A tensor is given for a parameter.
            (Some(_), None) => {}
        }
    }
    layers::size_given_by_input(entry, &positional, &named, types, made)
}

/// Whether a layer could have a parameter of this name, as `weight` or `bias_hh_l0`.
pub(crate) fn is_parameter_name(name: &str) -> bool {
    name.contains("weight") || name.contains("bias")
}

fn argument_at<'r>(recipe: &'r Recipe, at: &At) -> Option<&'r Argument> {
    match at {
        At::Argument(name) => {
            let named =
                recipe.arguments.iter().find(|argument| argument.name.as_deref() == Some(name));
            named.or_else(|| {
                let entry = match &recipe.callee {
                    super::value::Callee::Layer(entry)
                    | super::value::Callee::Function(entry, _) => entry,
                    super::value::Callee::Item { .. } => return None,
                };
                let index = entry.params.iter().position(|param| param.name == name)?;
                recipe.arguments.iter().filter(|argument| argument.name.is_none()).nth(index)
            })
        }
        At::Position(index) => {
            recipe.arguments.iter().filter(|argument| argument.name.is_none()).nth(*index)
        }
        At::Layer | At::Input(_) => None,
    }
}

/// Whether all are one tensor, also where a block has it as several inputs.
fn takes_one(frame: &Frame, tensors: &[Tensor]) -> bool {
    tensors.windows(2).all(|pair| frame.identity(&pair[0]) == frame.identity(&pair[1]))
}

fn path_of(tensor: &Tensor) -> String {
    match &tensor.origin {
        Origin::Parameter(parameter) => parameter.path.to_string(),
        Origin::Step(_) => "this tensor".to_owned(),
    }
}

/// A step, settled.
pub(crate) fn settle(mut step: Step, path: StepPath) -> Arc<Step> {
    step.path = path;
    Arc::new(step)
}
