//! What runs a unit: its `forward`.

use super::{
    functions::{self, lent, method, owned},
    modules::Run,
    names,
    writer::{Form, Writer, owns},
};
use crate::{
    classes::UnitId,
    export::{
        Error,
        dims::{self, Known},
        input_names,
        naming::{Kept, Naming, Written},
        sizes::AtSizes,
        unit::{Again, Call, Callee, ChildKind, LayerStep, Operand, Value},
    },
    template::Template,
};

pub(super) struct Forward<'w, 'u, 'm> {
    writer: &'w mut Writer<'u, 'm>,
    id: UnitId,
    naming: Naming,
    lines: Vec<Template>,
}

impl<'w, 'u, 'm> Forward<'w, 'u, 'm> {
    pub fn new(writer: &'w mut Writer<'u, 'm>, id: UnitId) -> Forward<'w, 'u, 'm> {
        Forward { writer, id, naming: Naming::default(), lines: Vec::new() }
    }

    /// The method with its head.
    pub fn lines(mut self) -> Result<Vec<Template>, Error> {
        let units = self.writer.units;
        let unit = &units[self.id.0];
        let written = input_names(self.writer.workspace, unit);
        self.naming.note_unit(unit);
        self.naming.name_inputs(unit, &written, names::variable);
        let mut index = 0;
        while index < unit.calls.len() {
            let count = self.repeated(&unit.calls[index..]);
            match count {
                0 | 1 => self.call(&unit.calls[index], index)?,
                count => self.each(&unit.calls[index..index + count], index)?,
            }
            index += count.max(1);
        }
        self.keep_sizes();
        let returned = match &unit.outputs[..] {
            [one] => self.returned(one),
            all => {
                let all = all.iter().map(|value| self.moved(value)).collect::<Vec<_>>();
                wrapped("Ok((", Template::joined(all, ", "), "))")
            }
        };
        self.lines.push(returned);
        let head = Template::text(self.head(unit.outputs.len()));
        let body = self.lines.into_iter().map(|line| wrapped("    ", line.indented(), ""));
        Ok(std::iter::once(head).chain(body).chain([Template::text("}")]).collect())
    }

    /// `pub fn forward(&self, x: &Tensor) -> Result<Tensor> {`
    fn head(&self, outputs: usize) -> String {
        let body: String = self.lines.iter().map(|line| line.plain() + "\n").collect();
        let inputs = self.naming.inputs.iter().map(|name| match has_word(&body, name) {
            true => format!("{name}: &Tensor"),
            false => format!("_{name}: &Tensor"),
        });
        let inputs: Vec<String> = std::iter::once("&self".to_owned()).chain(inputs).collect();
        let output = match outputs {
            1 => "Tensor".to_owned(),
            count => format!("({})", vec!["Tensor"; count].join(", ")),
        };
        format!("pub fn forward({}) -> Result<{output}> {{", inputs.join(", "))
    }

    /// A value that is given away.
    fn moved(&self, value: &Value) -> Template {
        let written = self.name(value);
        if written.is_lent || written.text.plain().contains('.') {
            owned(&written)
        } else {
            written.text
        }
    }

    /// The value that is returned: what the last line assigns needs no name.
    fn returned(&mut self, value: &Value) -> Template {
        let head = format!("let {} = ", self.name(value).text.plain());
        let assigned = self.lines.last().and_then(|line| line.after(&head)?.before(";"));
        if let Some(assigned) = assigned {
            self.lines.pop();
            return match assigned.before("?") {
                // An operation needs no brackets at the end.
                Some(result) => result.inside("(", ")").unwrap_or(result),
                None => wrapped("Ok(", assigned, ")"),
            };
        }
        wrapped("Ok(", self.moved(value), ")")
    }

    fn name(&self, value: &Value) -> Written {
        self.naming.text(value).cloned().unwrap_or_else(|| Written::simple("()"))
    }

    fn operand(&self, operand: &Operand) -> Result<Written, Error> {
        let element = |of: Written| Written::simple(method(of.text, "get", vec!["expert".into()]));
        Ok(match operand {
            Operand::Value(value) | Operand::List(value) => self.name(value),
            Operand::Attribute(path) => self.writer.access(self.id, path)?,
            Operand::Element(path) => element(self.writer.access(self.id, path)?),
            Operand::Input(index) => Written::lent(self.naming.inputs[*index].clone()),
            Operand::InputElement(index) => {
                element(Written::lent(self.naming.inputs[*index].clone()))
            }
        })
    }

    fn operands(&self, call: &Call<'m>) -> Result<Vec<Written>, Error> {
        let all = call.operands.iter().map(|operand| self.operand(operand));
        // What a list holds beside its first value is in that one's text.
        let all: Result<Vec<Written>, Error> = all.collect();
        Ok(all?.into_iter().filter(|one| !one.text.is_empty()).collect())
    }

    fn call(&mut self, call: &Call<'m>, index: usize) -> Result<(), Error> {
        if let Callee::Experts { count, calls, value } = &call.callee {
            return self.experts(*count, calls, value, index);
        }
        if let Some(list) = self.list(call) {
            return self.folded(call, index, &list);
        }
        let written = self.expression(call, index)?;
        if call.outputs.is_empty() {
            return Ok(());
        }
        if let [output] = &call.outputs[..] {
            let is_alias = self.naming.alias(output, &written, self.lines.len());
            if is_alias {
                return Ok(());
            }
            // What is lent keeps its text.
            if written.is_lent {
                self.naming.set_expression(output, written);
                return Ok(());
            }
        }
        self.statement(call, written.text, index);
        Ok(())
    }

    fn statement(&mut self, call: &Call<'m>, text: Template, index: usize) {
        let first = call.operands.iter().find_map(|operand| match operand {
            Operand::Value(value) => Some(value.clone()),
            _ => None,
        });
        let mut assigned: Vec<String> = Vec::new();
        for (place, output) in call.outputs.iter().enumerate() {
            let first = if call.outputs.len() == 1 { first.as_ref() } else { None };
            let label = call
                .labels
                .get(place)
                .filter(|label| label.starts_with(|letter: char| letter.is_ascii_alphabetic()));
            let label = label.map(|label| names::variable(label));
            let name = self.naming.assign(output, label, index, first);
            assigned.push(name.unwrap_or_else(|| "_".to_owned()));
        }
        let given = self.given(call);
        assigned.resize(assigned.len().max(given), "_".to_owned());
        let target = match &assigned[..] {
            [one] => one.clone(),
            all => format!("({})", all.join(", ")),
        };
        let mut line = Template::text(format!("let {target} = "));
        line.append(text);
        line.push(";");
        self.lines.push(line);
        for (output, name) in call.outputs.iter().zip(assigned) {
            self.naming.set(output, Written::simple(name), self.lines.len());
        }
    }

    /// How many values a recurrent layer gives: its states too.
    fn given(&self, call: &Call<'m>) -> usize {
        match self.layer(call).map(|step| step.shown().kind()) {
            Some("LSTM") => 3,
            Some("GRU") => 2,
            _ => 1,
        }
    }

    /// The layer that a call calls as a module.
    fn layer<'c>(&'c self, call: &'c Call<'m>) -> Option<&'c LayerStep<'m>> {
        match &call.callee {
            Callee::Child(child) => match &self.writer.units[self.id.0].children[*child].what {
                ChildKind::Layer(step) => Some(step),
                _ => None,
            },
            Callee::Attribute(_, Again::Layer(step)) | Callee::Input(_, Again::Layer(step)) => {
                Some(step)
            }
            _ => None,
        }
    }

    fn expression(&mut self, call: &Call<'m>, index: usize) -> Result<Written, Error> {
        if let Callee::Function(step, given) = &call.callee {
            return self.function(call, step, given, index);
        }
        if let Some(step) = self.layer(call).cloned() {
            if !owns(&step) {
                return self.function(call, &step, &[], index);
            }
            let shown = step.shown();
            let field = self.field(call, shown.kind()).map_err(|error| error.at(shown.node))?;
            return self.module(call, &step, field);
        }
        let field = self.field(call, "block")?;
        let operands = self.operands(call)?;
        let text = method(field.text, "forward", operands.iter().map(lent).collect());
        Ok(Written::simple(text))
    }

    /// The field that a call calls; `what` it is.
    fn field(&self, call: &Call<'m>, what: &str) -> Result<Written, Error> {
        match &call.callee {
            Callee::Child(child) => {
                let path = &self.writer.units[self.id.0].children[*child].path;
                self.writer.access(self.id, path)
            }
            Callee::Attribute(path, _) => self.writer.access(self.id, path),
            _ => Err(Error::refused(what, OTHERS)),
        }
    }

    /// A layer that owns parameters.
    fn module(
        &mut self,
        call: &Call<'m>,
        step: &LayerStep<'m>,
        field: Written,
    ) -> Result<Written, Error> {
        let kind = step.shown().kind();
        let module = self.writer.module(step, "vb")?;
        let mut operands: Vec<Template> = self.operands(call)?.iter().map(lent).collect();
        if kind == "MultiheadAttention" && operands.len() == 1 {
            operands = vec![operands[0].clone(); 3];
        }
        let text = match module.run {
            Run::Module => self.flat(step, field.text, operands),
            Run::ModuleT => {
                self.writer.needed.insert("ModuleT");
                operands.push(Template::text("false"));
                method(field.text, "forward_t", operands)
            }
            Run::Own => method(field.text, "forward", operands),
        };
        Ok(Written::simple(text))
    }

    /// Candle's `Linear` takes from two to four dimensions.
    fn flat(&mut self, step: &LayerStep<'m>, field: Template, operands: Vec<Template>) -> Template {
        let rank = step.shown().inputs[0].ty.shape.len();
        if step.shown().kind() != "Linear" || (2..=4).contains(&rank) {
            self.writer.needed.insert("Module");
            return method(field, "forward", operands);
        }
        self.writer.needed.insert("flat");
        let mut text = Template::text("flat(&");
        text.append(field);
        text.push(", ");
        text.append(Template::joined(operands, ", "));
        text.push(")?");
        text
    }

    fn function(
        &mut self,
        call: &Call<'m>,
        step: &LayerStep<'m>,
        given: &[(String, Operand)],
        index: usize,
    ) -> Result<Written, Error> {
        let operands = self.operands(call)?;
        let device = self.naming.any_held().map(str::to_owned);
        let given: Result<Vec<(String, Written)>, Error> = given
            .iter()
            .map(|(name, operand)| Ok((name.clone(), self.operand(operand)?)))
            .collect();
        let given = given?;
        if !given.is_empty() {
            self.writer.needed.insert("Module");
        }
        let unit = &self.writer.units[self.id.0];
        let size = |name: &str, dim: usize| format!("{name}.dim({dim})?");
        let sizes = self.naming.sizes_at_hand(unit, call, index, size);
        let mut wanted: Vec<usize> = Vec::new();
        let (known, kept): (Vec<Known>, Vec<Option<Kept>>) = sizes.into_iter().unzip();
        let mut size_of = |values: &AtSizes<i64>| {
            if values.0.iter().any(|value| *value < 0) {
                return None;
            }
            let found = dims::expression(values, &known)?;
            wanted.extend(&found.sources);
            Some(Template::text(found.text.replace("//", "/")))
        };
        let function =
            functions::function(step, &operands, &given, device.as_deref(), &mut size_of).map_err(
                |reason| Error::refused(step.shown().kind(), reason).at(step.shown().node),
            )?;
        let owner = call.labels.first().cloned().unwrap_or_default();
        let text = function.text.prefixed(&owner);
        for kept in wanted.into_iter().filter_map(|source| kept[source].as_ref()) {
            self.naming.keep(kept);
        }
        self.writer.needed.extend(function.helper);
        Ok(Written { is_lent: function.is_lent, ..Written::simple(text) })
    }

    /// Puts the lines that keep sizes where they are known.
    fn keep_sizes(&mut self) {
        for (at, kept) in self.naming.kept() {
            let text = self.name(&kept.value).text.plain();
            let line = Template::text(format!("let {} = {text}.dim({})?;", kept.name, kept.dim));
            self.lines.insert(at, line);
        }
    }

    /// How many of the next calls are one loop over all structs of a list: each takes the same, and one call
    /// takes what all gave.
    fn repeated(&self, calls: &[Call<'m>]) -> usize {
        let unit = &self.writer.units[self.id.0];
        let count = unit.children.len();
        if self.writer.listed(self.id).is_none() || calls.len() <= count {
            return 1;
        }
        let given: Option<Vec<Operand>> = calls[..count]
            .iter()
            .enumerate()
            .map(|(index, call)| {
                let [output] = &call.outputs[..] else { return None };
                let is_next = matches!(call.callee, Callee::Child(child) if child == index);
                let is_only = self.naming.reads(output).is_some_and(|reads| reads.count == 1);
                (is_next && is_only && call.operands == calls[0].operands)
                    .then(|| Operand::Value(output.clone()))
            })
            .collect();
        let takes_list = matches!(&calls[count].callee, Callee::Function(step, _) if step.shown().kind() == "WeightedSum");
        let is_loop = given.is_some_and(|given| calls[count].operands.ends_with(&given));
        if is_loop && takes_list { count } else { 1 }
    }

    /// A loop over all structs of a list.
    fn each(&mut self, calls: &[Call<'m>], index: usize) -> Result<(), Error> {
        let operands: Vec<Template> = self.operands(&calls[0])?.iter().map(lent).collect();
        let list = self.naming.free("outputs", index);
        self.naming.hold(&list, &calls[0].outputs[0]);
        let field = self.writer.fields[&self.id][0].name.clone();
        let module = method(Template::text("module"), "forward", operands);
        let mut line = Template::text(format!("let {list} = self.{field}.iter().map(|module| "));
        line.append(module.before("?").unwrap_or_default());
        line.push(").collect::<Result<Vec<_>>>()?;");
        self.lines.push(line);
        for (place, call) in calls.iter().enumerate() {
            // The list stands for the first of them; the others are in it.
            let text = if place == 0 { format!("&{list}") } else { String::new() };
            let text = if text.is_empty() { Template::default() } else { Template::text(text) };
            self.naming.set_expression(&call.outputs[0], Written::lent(text));
        }
        Ok(())
    }

    /// The field of a list that a call runs through, if it is one.
    fn list(&self, call: &Call<'m>) -> Option<String> {
        let Callee::Child(child) = call.callee else { return None };
        let child = &self.writer.units[self.id.0].children[child];
        let ChildKind::Unit(id) = child.what else { return None };
        let field = self.writer.access(self.id, &child.path).ok()?;
        (self.writer.form(id) == Form::List).then(|| field.text.plain())
    }

    /// A loop over equal structs, each of which takes what the one before it gave.
    fn folded(&mut self, call: &Call<'m>, index: usize, list: &str) -> Result<(), Error> {
        let operands = self.operands(call)?;
        let value = &call.outputs[0];
        let entry = call.operands.iter().find_map(|operand| match operand {
            Operand::Value(value) => Some(value.clone()),
            _ => None,
        });
        // What the loop takes beside it is read in every turn.
        for operand in call.operands.iter().skip(1) {
            if let Operand::Value(value) = operand {
                self.naming.read_again(value, index + 1);
            }
        }
        let name = self.naming.assign(value, None, index, entry.as_ref()).unwrap_or_default();
        let start = &operands[0];
        let is_own = start.text.plain() == name && !start.is_lent;
        let head = format!("let {name} = ");
        // What the line before it assigns changes in the loop.
        let assigned = self.lines.last().filter(|_| is_own).and_then(|line| line.after(&head));
        let mut line = Template::text(format!("let mut {name} = "));
        match assigned {
            Some(assigned) => {
                self.lines.pop();
                line.append(assigned);
            }
            None => {
                line.append(if is_own { start.text.clone() } else { owned(start) });
                line.push(";");
            }
        }
        self.lines.push(line);
        let mut text = Template::text(format!(
            "for module in &{list} {{\n    {name} = module.forward(&{name}"
        ));
        for operand in &operands[1..] {
            text.push(", ");
            text.append(lent(operand));
        }
        text.push(")?;\n}");
        self.lines.push(text);
        self.naming.set(value, Written::simple(name), self.lines.len());
        Ok(())
    }

    /// A loop over experts whose parameters are stacked.
    fn experts(
        &mut self,
        count: u64,
        calls: &[Call<'m>],
        value: &Value,
        index: usize,
    ) -> Result<(), Error> {
        let list = self.naming.free("outputs", index);
        self.naming.hold(&list, value);
        let before = self.lines.len();
        let saved = self.naming.begin_loop(calls, value);
        for (place, inner) in calls.iter().enumerate() {
            let written = self.expression(inner, place)?;
            self.statement(inner, written.text, place);
        }
        let result = self.name(value).text;
        let body: Vec<Template> = self.lines.split_off(before);
        self.naming.end_loop(saved);
        self.lines.push(Template::text(format!("let mut {list} = Vec::new();")));
        let mut text = Template::text("for expert in 0..");
        text.append(Template::hole("experts", count.to_string()));
        text.push(" {");
        for line in body {
            text.push("\n    ");
            text.append(line.indented());
        }
        text.push(&format!("\n    {list}.push("));
        text.append(result);
        text.push(");\n}");
        self.lines.push(text);
        self.naming.set_expression(value, Written::lent(format!("&{list}")));
        Ok(())
    }
}

/// A struct has its own modules only.
const OTHERS: &str = "it is called where it does not lie; call it in the block that owns it";

/// Whether a text has a word.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split(|letter| !is_part(letter)).any(|one| one == word)
}

fn wrapped(open: &str, inner: Template, close: &str) -> Template {
    Template::joined([open.into(), inner, close.into()], "")
}
