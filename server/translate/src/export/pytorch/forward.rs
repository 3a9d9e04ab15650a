//! What runs a unit: its `forward`.

use super::{
    functions,
    modules::{self, Style},
    names,
    writer::{Form, Writer},
};
use crate::{
    classes::UnitId,
    export::{
        Error,
        dims::{self, Known},
        input_names,
        naming::{Kept, Naming, Written},
        sizes::AtSizes,
        unit::{Again, Call, Callee, ChildKind, LayerStep, Operand, Value, layer_of},
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
                0 | 1 => self.call(&unit.calls[index], index, unit.calls.get(index + 1))?,
                count => self.folded(&unit.calls[index..index + count], index),
            }
            index += count.max(1);
        }
        let outputs: Vec<String> =
            unit.outputs.iter().map(|value| self.name(value).text.plain()).collect();
        self.keep_sizes();
        let returned = match unit.outputs.len() {
            0 => None,
            1 => Some(self.returned(&unit.outputs[0])),
            _ => Some(Template::text(outputs.join(", "))),
        };
        let inputs = std::iter::once("self").chain(self.naming.inputs.iter().map(String::as_str));
        let head = format!("def forward({}):", inputs.collect::<Vec<_>>().join(", "));
        let mut lines = vec![Template::text(head)];
        let body = self.lines.into_iter().chain(returned.map(|returned| {
            let mut text = Template::text("return ");
            text.append(returned);
            text
        }));
        lines.extend(body.map(|line| {
            let mut indented = Template::text("    ");
            indented.append(line.indented());
            indented
        }));
        if lines.len() == 1 {
            lines.push(Template::text("    pass"));
        }
        Ok(lines)
    }

    /// The value that is returned: what the last line assigns needs no name.
    fn returned(&mut self, value: &Value) -> Template {
        let text = self.name(value).text;
        let assigned =
            self.lines.last().and_then(|line| line.after(&format!("{} = ", text.plain())));
        match assigned {
            Some(assigned) => {
                self.lines.pop();
                assigned
            }
            None => text,
        }
    }

    fn name(&self, value: &Value) -> Written {
        self.naming.text(value).cloned().unwrap_or_else(|| Written::simple("None"))
    }

    fn operand(&self, operand: &Operand) -> Written {
        let text = |text: String| Written::simple(text);
        match operand {
            Operand::Value(value) | Operand::List(value) => self.name(value),
            Operand::Attribute(path) => text(self.writer.access(self.id, path)),
            Operand::Element(path) => {
                text(format!("{}[expert]", self.writer.access(self.id, path)))
            }
            Operand::Input(index) => text(self.naming.inputs[*index].clone()),
            Operand::InputElement(index) => text(format!("{}[expert]", self.naming.inputs[*index])),
        }
    }

    fn call(
        &mut self,
        call: &Call<'m>,
        index: usize,
        next: Option<&Call<'m>>,
    ) -> Result<(), Error> {
        if let Callee::Experts { count, calls, value } = &call.callee {
            return self.experts(*count, calls, value, index);
        }
        let written = self.expression(call, index)?;
        if call.outputs.is_empty() {
            return Ok(());
        }
        if let [output] = &call.outputs[..]
            && self.naming.alias(output, &written, self.lines.len())
        {
            return Ok(());
        }
        if self.is_inlined(call, index, next) {
            self.naming.set_expression(&call.outputs[0], written);
            return Ok(());
        }
        self.statement(call, written.text, index);
        Ok(())
    }

    /// Whether the value of an operator stands where it is used.
    fn is_inlined(&self, call: &Call<'m>, index: usize, next: Option<&Call<'m>>) -> bool {
        let [output] = &call.outputs[..] else { return false };
        let is_operator = |step: &LayerStep<'m>| {
            layer_of(step.shown())
                .is_some_and(|used| used.entry.is_none() && used.kind != "WeightedSum")
        };
        let Callee::Function(step, _) = &call.callee else { return false };
        let reads = self.naming.reads(output).unwrap_or_default();
        if !is_operator(step) || reads.count != 1 || reads.last != index + 1 {
            return false;
        }
        // A line stays short.
        let Some(next) = next else { return true };
        match &next.callee {
            Callee::Function(step, _) => is_operator(step) && !is_index(step),
            Callee::Child(child) => match &self.writer.unit(self.id).children[*child].what {
                ChildKind::Layer(step) => {
                    modules::is_module(step) && modules::style(step) == Style::Direct
                }
                _ => true,
            },
            _ => false,
        }
    }

    fn statement(&mut self, call: &Call<'m>, text: Template, index: usize) {
        let first = call.operands.iter().find_map(|operand| match operand {
            Operand::Value(value) => Some(value),
            _ => None,
        });
        let first = first.cloned();
        let mut assigned: Vec<String> = Vec::new();
        for (place, output) in call.outputs.iter().enumerate() {
            let first = if call.outputs.len() == 1 { first.as_ref() } else { None };
            let label = call.labels.get(place).filter(|label| names::begins_name(label));
            let label = label.map(|label| names::variable(label));
            let name = self.naming.assign(output, label, index, first);
            assigned.push(name.unwrap_or_else(|| "_".to_owned()));
        }
        let targets = match (self.style(call), &assigned[..]) {
            (Style::Lstm, [output, h, c]) => format!("{output}, ({h}, {c})"),
            (Style::Recurrent | Style::Lstm, [output]) => format!("{output}, _"),
            _ => assigned.join(", "),
        };
        let mut line = Template::text(format!("{targets} = "));
        line.append(text);
        self.lines.push(line);
        for (output, name) in call.outputs.iter().zip(assigned) {
            self.naming.set(output, Written::simple(name), self.lines.len());
        }
    }

    fn style(&self, call: &Call<'m>) -> Style {
        let of = |again: &Again<'m>| match again {
            Again::Layer(step) => modules::style(step),
            Again::Unit => Style::Direct,
        };
        match &call.callee {
            Callee::Child(child) => match &self.writer.unit(self.id).children[*child].what {
                ChildKind::Layer(step) => modules::style(step),
                _ => Style::Direct,
            },
            Callee::Attribute(_, again) | Callee::Input(_, again) => of(again),
            _ => Style::Direct,
        }
    }

    fn expression(&mut self, call: &Call<'m>, index: usize) -> Result<Written, Error> {
        let callee = match &call.callee {
            Callee::Function(step, given) => return self.function(call, step, given, index),
            Callee::Child(child) => {
                let child = &self.writer.unit(self.id).children[*child];
                if let ChildKind::Layer(step) = &child.what
                    && !modules::is_module(step)
                {
                    let step = step.clone();
                    return self.function(call, &step, &[], index);
                }
                self.writer.access(self.id, &child.path)
            }
            Callee::Attribute(path, again) => {
                if let Again::Layer(step) = again
                    && !modules::is_module(step)
                {
                    return self.function(call, &step.clone(), &[], index);
                }
                self.writer.access(self.id, path)
            }
            Callee::Input(input, again) => {
                if let Again::Layer(step) = again
                    && !modules::is_module(step)
                {
                    return self.function(call, &step.clone(), &[], index);
                }
                self.naming.inputs[*input].clone()
            }
            Callee::Experts { .. } => String::new(),
        };
        let operands: Vec<Template> =
            call.operands.iter().map(|operand| self.operand(operand).text).collect();
        let mut text = Template::text(format!("{callee}("));
        let pair = |states: &[Template]| {
            let mut pair = Template::text("(");
            pair.append(Template::joined(states.iter().cloned(), ", "));
            pair.push(")");
            pair
        };
        match (self.style(call), &operands[..]) {
            (
                style @ (Style::Attention
                | Style::AttentionWithWeights
                | Style::AttentionWithAllWeights),
                all,
            ) => {
                let all = if let [one] = all { vec![one.clone(); 3] } else { all.to_vec() };
                text.append(Template::joined(all, ", "));
                text.push(match style {
                    Style::AttentionWithWeights => ")",
                    Style::AttentionWithAllWeights => ", average_attn_weights=False)",
                    _ => ", need_weights=False)[0]",
                });
            }
            (Style::Lstm | Style::LstmCell, [first, states @ ..]) if !states.is_empty() => {
                text.append(Template::joined([first.clone(), pair(states)], ", "));
                text.push(")");
            }
            (_, all) => {
                text.append(Template::joined(all.iter().cloned(), ", "));
                text.push(")");
            }
        }
        Ok(Written::simple(text))
    }

    fn function(
        &mut self,
        call: &Call<'m>,
        step: &LayerStep<'m>,
        given: &[(String, Operand)],
        index: usize,
    ) -> Result<Written, Error> {
        // What a list holds beside its first value is in that one's text.
        let operands = call.operands.iter().map(|operand| self.operand(operand));
        let operands: Vec<Written> = operands.filter(|one| !one.text.is_empty()).collect();
        let device = self.naming.any_held();
        let given: Vec<(String, Template)> = given
            .iter()
            .map(|(name, operand)| (name.clone(), self.operand(operand).text))
            .collect();
        let unit = &self.writer.units[self.id.0];
        let size = |name: &str, dim: usize| format!("{name}.size({dim})");
        let sizes = self.naming.sizes_at_hand(unit, call, index, size);
        let mut wanted: Vec<usize> = Vec::new();
        let (known, kept): (Vec<Known>, Vec<Option<Kept>>) = sizes.into_iter().unzip();
        let mut size_of = |values: &AtSizes<i64>| {
            let found = dims::expression(values, &known)?;
            wanted.extend(&found.sources);
            Some(Template::text(found.text))
        };
        let kind = step.shown().kind().to_owned();
        let node = step.shown().node;
        let refused = |reason: String| Error::refused(&kind, reason).at(node);
        let mut function =
            functions::function(step, &operands, &given, device, &mut size_of).map_err(refused)?;
        let owner = call.labels.first().cloned().unwrap_or_default();
        function.text = function.text.prefixed(&owner);
        for kept in wanted.into_iter().filter_map(|source| kept[source].as_ref()) {
            self.naming.keep(kept);
        }
        self.writer.needed.extend(function.helper);
        Ok(Written { is_compound: function.is_compound, ..Written::simple(function.text) })
    }

    /// Puts the lines that keep sizes where they are known.
    fn keep_sizes(&mut self) {
        for (at, kept) in self.naming.kept() {
            let text = self.name(&kept.value).text.plain();
            let line = Template::text(format!("{} = {text}.size({})", kept.name, kept.dim));
            self.lines.insert(at, line);
        }
    }

    /// How many of the next calls are one loop over the modules of a list.
    fn repeated(&self, calls: &[Call<'m>]) -> usize {
        if self.writer.form(self.id) != Form::List {
            return 1;
        }
        let Callee::Child(first) = calls[0].callee else { return 1 };
        let unit = self.writer.unit(self.id);
        let modules = unit
            .children
            .iter()
            .filter(|child| !matches!(child.what, ChildKind::Tensor(_)))
            .count();
        // All of them or none: a loop over a part of them is no easier to read.
        if first != 0 || calls.len() < modules || modules < 2 {
            return 1;
        }
        let is_loop = self.chained(&calls[..modules]) || self.mapped(calls, modules);
        if is_loop { modules } else { 1 }
    }

    /// Each takes what the one before it gave, and beside it the same.
    fn chained(&self, calls: &[Call<'m>]) -> bool {
        calls.windows(2).enumerate().all(|(index, pair)| {
            let [before, after] = pair else { return false };
            let [given] = &before.outputs[..] else { return false };
            let Callee::Child(child) = after.callee else { return false };
            let is_only = self.naming.reads(given).is_some_and(|reads| reads.count == 1);
            let is_passed = after.operands.first() == Some(&Operand::Value(given.clone()));
            let rest = |call: &Call<'m>| call.operands.get(1..).map(<[Operand]>::to_vec);
            self.is_plain(after)
                && self.is_plain(before)
                && child == index + 1
                && is_only
                && is_passed
                && after.outputs.len() == 1
                && rest(before) == rest(after)
        })
    }

    /// Each takes the same, and one call takes what all gave.
    fn mapped(&self, calls: &[Call<'m>], count: usize) -> bool {
        let (each, next) = calls.split_at(count);
        let Some(next) = next.first() else { return false };
        let given: Option<Vec<Operand>> = each
            .iter()
            .enumerate()
            .map(|(index, call)| {
                let [output] = &call.outputs[..] else { return None };
                let Callee::Child(child) = call.callee else { return None };
                let is_only = self.naming.reads(output).is_some_and(|reads| reads.count == 1);
                (self.is_plain(call)
                    && child == index
                    && is_only
                    && call.operands == each[0].operands)
                    .then(|| Operand::Value(output.clone()))
            })
            .collect();
        given.is_some_and(|given| next.operands.ends_with(&given) && self.takes_list(next))
    }

    /// A module that is called with what it takes.
    fn is_plain(&self, call: &Call<'m>) -> bool {
        let Callee::Child(child) = call.callee else { return false };
        match &self.writer.unit(self.id).children[child].what {
            ChildKind::Layer(step) => {
                modules::is_module(step) && modules::style(step) == Style::Direct
            }
            ChildKind::Unit(_) => true,
            ChildKind::Tensor(_) => false,
        }
    }

    /// It takes any number of tensors as a list.
    fn takes_list(&self, call: &Call<'m>) -> bool {
        match &call.callee {
            Callee::Function(step, _) => step.shown().kind() == "WeightedSum",
            _ => false,
        }
    }

    fn folded(&mut self, calls: &[Call<'m>], index: usize) {
        let (first, last) = (&calls[0], &calls[calls.len() - 1]);
        let operands: Vec<Template> =
            first.operands.iter().map(|operand| self.operand(operand).text).collect();
        if self.chained(calls) {
            let value = &last.outputs[0];
            let entry = first.operands.iter().find_map(|operand| match operand {
                Operand::Value(value) => Some(value.clone()),
                _ => None,
            });
            let start = operands.first().cloned().unwrap_or_default();
            // What the loop takes beside it is read in every turn.
            let name = self.naming.assign(value, None, index, entry.as_ref()).unwrap_or_default();
            if start.plain() != name {
                let mut line = Template::text(format!("{name} = "));
                line.append(start);
                self.lines.push(line);
            }
            let mut text =
                Template::text(format!("for module in self:\n    {name} = module({name}"));
            for operand in operands.into_iter().skip(1) {
                text.push(", ");
                text.append(operand);
            }
            text.push(")");
            self.lines.push(text);
            self.naming.set(value, Written::simple(name), self.lines.len());
            return;
        }
        let mut list = Template::text("*[expert(");
        list.append(Template::joined(operands, ", "));
        list.push(") for expert in self]");
        for (place, call) in calls.iter().enumerate() {
            // The list stands for the first of them; the others are in it.
            let text = if place == 0 { list.clone() } else { Template::default() };
            self.naming.set_expression(&call.outputs[0], Written::simple(text));
        }
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
        self.lines.push(Template::text(format!("{list} = []")));
        let mut text = Template::text("for expert in range(");
        text.append(Template::hole("experts", count.to_string()));
        text.push("):");
        for line in body {
            text.push("\n    ");
            text.append(line.indented());
        }
        text.push(&format!("\n    {list}.append("));
        text.append(result);
        text.push(")");
        self.lines.push(text);
        self.naming.set_expression(value, Written::simple(format!("*{list}")));
        Ok(())
    }
}

fn is_index(step: &LayerStep<'_>) -> bool {
    let Some(used) = layer_of(step.shown()) else { return false };
    let layer: &dyn std::any::Any = &*used.layer;
    layer.is::<layers::operators::Index>()
}
