//! What runs a unit: its `forward`.

use std::collections::HashMap;

use super::{
    Form, Writer,
    kinds::{self, Style, Written},
    names,
};
use crate::{
    classes::UnitId,
    export::{
        Error,
        dims::{self, Known},
        sizes::AtSizes,
        unit::{Again, Call, Callee, ChildKind, Input, LayerStep, Operand, Value, layer_of},
    },
    template::Template,
};

/// Names for what is passed on from step to step.
const PASSED: &[&str] = &["x", "y", "z", "u", "v", "w"];

pub(super) struct Forward<'w, 'u, 'm> {
    writer: &'w mut Writer<'u, 'm>,
    id: UnitId,
    /// What stands for a value.
    names: HashMap<Value, Written>,
    /// The value that a name stands for now, and the last call that reads it.
    holders: HashMap<String, (Value, usize)>,
    /// The last call that reads a value, and how often it is read.
    last: HashMap<Value, (usize, usize)>,
    inputs: Vec<String>,
    /// Names of what flows in and is no value.
    reserved: Vec<String>,
    lines: Vec<Template>,
    /// Sizes that are kept: the value, its dimension, and the line after which it is known.
    known_at: HashMap<Value, usize>,
    kept: Vec<(Value, usize, String)>,
}

impl<'w, 'u, 'm> Forward<'w, 'u, 'm> {
    pub fn new(writer: &'w mut Writer<'u, 'm>, id: UnitId) -> Forward<'w, 'u, 'm> {
        Forward {
            writer,
            id,
            names: HashMap::new(),
            holders: HashMap::new(),
            last: HashMap::new(),
            inputs: Vec::new(),
            reserved: Vec::new(),
            lines: Vec::new(),
            known_at: HashMap::new(),
            kept: Vec::new(),
        }
    }

    /// The method with its head.
    pub fn lines(mut self) -> Result<Vec<Template>, Error> {
        let units = self.writer.units;
        let unit = &units[self.id.0];
        self.note_last(&unit.calls, &unit.outputs);
        self.name_inputs();
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
        let inputs = std::iter::once("self").chain(self.inputs.iter().map(String::as_str));
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

    fn note_last(&mut self, calls: &[Call<'m>], outputs: &[Value]) {
        for (index, call) in calls.iter().enumerate() {
            self.note_reads(call, index);
        }
        for value in outputs {
            let entry = self.last.entry(value.clone()).or_insert((0, 0));
            *entry = (calls.len(), entry.1 + 1);
        }
    }

    fn note_reads(&mut self, call: &Call<'m>, index: usize) {
        let given = match &call.callee {
            Callee::Function(_, given) => &given[..],
            _ => &[],
        };
        for operand in call.operands.iter().chain(given.iter().map(|(_, operand)| operand)) {
            if let Operand::Value(value) | Operand::List(value) = operand {
                let entry = self.last.entry(value.clone()).or_insert((0, 0));
                *entry = (entry.0.max(index), entry.1 + 1);
            }
        }
        if let Callee::Experts { calls, value, .. } = &call.callee {
            for inner in calls {
                self.note_reads(inner, index);
            }
            let entry = self.last.entry(value.clone()).or_insert((0, 0));
            *entry = (entry.0.max(index), entry.1 + 1);
        }
    }

    fn name_inputs(&mut self) {
        let units = self.writer.units;
        let unit = &units[self.id.0];
        let written: Vec<String> = unit.item.map_or_else(Vec::new, |item| {
            let node = self.writer.workspace.node(item);
            let body = syntax::ast::Item::cast(node).and_then(|item| item.body());
            let lines = body.into_iter().flat_map(|body| body.lines());
            let inputs = lines.filter_map(|line| match line {
                syntax::ast::Line::Input(input) => Some(input),
                _ => None,
            });
            inputs.filter_map(|input| Some(input.name()?.text().to_owned())).collect()
        });
        for (index, input) in unit.inputs.iter().enumerate() {
            let wanted = match input {
                Input::Value(_) => match written.get(index) {
                    Some(name) => names::variable(name),
                    None => {
                        PASSED.get(index).map_or(format!("x{index}"), |name| (*name).to_owned())
                    }
                },
                Input::Attribute(path) => names::variable(&path.replace('.', "_")),
            };
            let mut name = wanted.clone();
            let mut number = 1;
            while self.inputs.contains(&name) {
                number += 1;
                name = format!("{wanted}{number}");
            }
            self.inputs.push(name.clone());
            match input {
                Input::Value(value) => {
                    let last = self.last.get(value).map_or(0, |(last, _)| *last);
                    self.holders.insert(name.clone(), (value.clone(), last));
                    let text = Template::text(name);
                    self.names.insert(value.clone(), Written { text, is_compound: false });
                    self.known_at.insert(value.clone(), 0);
                }
                // Nothing may take its name.
                Input::Attribute(_) => {
                    self.reserved.push(name);
                }
            }
        }
    }

    fn name(&self, value: &Value) -> Written {
        self.names
            .get(value)
            .cloned()
            .unwrap_or(Written { text: Template::text("None"), is_compound: false })
    }

    fn operand(&self, operand: &Operand) -> Written {
        let text = |text: String| Written { text: Template::text(text), is_compound: false };
        match operand {
            Operand::Value(value) | Operand::List(value) => self.name(value),
            Operand::Attribute(path) => text(self.writer.access(self.id, path)),
            Operand::Element(path) => {
                text(format!("{}[expert]", self.writer.access(self.id, path)))
            }
            Operand::Input(index) => text(self.inputs[*index].clone()),
            Operand::InputElement(index) => text(format!("{}[expert]", self.inputs[*index])),
        }
    }

    /// Whether a later call needs what the name stands for.
    fn is_read_after(&self, name: &str, index: usize) -> bool {
        self.holders.get(name).is_some_and(|(_, last)| *last > index)
            || self.reserved.iter().any(|reserved| reserved == name)
    }

    /// A name for a value that a call gives.
    fn assign(
        &mut self,
        value: &Value,
        label: Option<&String>,
        index: usize,
        first: Option<&Value>,
    ) -> String {
        let Some((last, _)) = self.last.get(value).copied() else { return "_".to_owned() };
        let is_free = |name: &String| !self.is_read_after(name, index);
        let is_passed_on = last == index + 1;
        let mut name = None;
        if !is_passed_on && let Some(label) = label.filter(|label| names::begins_name(label)) {
            let label = names::variable(label);
            let numbered = (2..).map(|number| format!("{label}{number}"));
            name = std::iter::once(label.clone()).chain(numbered).find(is_free);
        }
        if name.is_none()
            && let Some(first) = first
        {
            // What is passed on keeps its name.
            let text = self.name(first).text.plain();
            if PASSED.contains(&text.as_str()) && is_free(&text) {
                name = Some(text);
            }
        }
        let name = name.unwrap_or_else(|| {
            let numbered = (1..).map(|number| format!("x{number}"));
            PASSED
                .iter()
                .map(|name| (*name).to_owned())
                .chain(numbered)
                .find(is_free)
                .unwrap_or_default()
        });
        self.holders.insert(name.clone(), (value.clone(), last));
        name
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
        if self.is_alias(call, &written) {
            return Ok(());
        }
        if self.is_inlined(call, index, next) {
            self.names.insert(call.outputs[0].clone(), written);
            return Ok(());
        }
        self.statement(call, written.text, index);
        Ok(())
    }

    /// A step that gives what it takes: the name stands for both.
    fn is_alias(&mut self, call: &Call<'m>, written: &Written) -> bool {
        let [output] = &call.outputs[..] else { return false };
        let Some(holder) = self.holders.get_mut(&written.text.plain()) else { return false };
        let last = self.last.get(output).map_or(0, |(last, _)| *last);
        *holder = (output.clone(), last.max(holder.1));
        self.names.insert(output.clone(), written.clone());
        self.known_at.insert(output.clone(), self.lines.len());
        true
    }

    /// Whether the value of an operator stands where it is used.
    fn is_inlined(&self, call: &Call<'m>, index: usize, next: Option<&Call<'m>>) -> bool {
        let [output] = &call.outputs[..] else { return false };
        let is_operator = |step: &LayerStep<'m>| {
            layer_of(step.shown())
                .is_some_and(|used| used.entry.is_none() && used.kind != "WeightedSum")
        };
        let Callee::Function(step, _) = &call.callee else { return false };
        let (last, count) = self.last.get(output).copied().unwrap_or((0, 0));
        if !is_operator(step) || count != 1 || last != index + 1 {
            return false;
        }
        // A line stays short.
        let Some(next) = next else { return true };
        match &next.callee {
            Callee::Function(step, _) => is_operator(step) && !is_index(step),
            Callee::Child(child) => match &self.writer.unit(self.id).children[*child].what {
                ChildKind::Layer(step) => {
                    kinds::is_module(step) && kinds::style(step) == Style::Direct
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
            assigned.push(self.assign(output, call.labels.get(place), index, first));
        }
        for (output, name) in call.outputs.iter().zip(&assigned) {
            let text = Template::text(name.clone());
            self.names.insert(output.clone(), Written { text, is_compound: false });
        }
        let targets = match (self.style(call), &assigned[..]) {
            (Style::Lstm, [output, h, c]) => format!("{output}, ({h}, {c})"),
            (Style::Recurrent | Style::Lstm, [output]) => format!("{output}, _"),
            _ => assigned.join(", "),
        };
        let mut line = Template::text(format!("{targets} = "));
        line.append(text);
        self.lines.push(line);
        for output in &call.outputs {
            self.known_at.insert(output.clone(), self.lines.len());
        }
    }

    fn style(&self, call: &Call<'m>) -> Style {
        let of = |again: &Again<'m>| match again {
            Again::Layer(step) => kinds::style(step),
            Again::Unit => Style::Direct,
        };
        match &call.callee {
            Callee::Child(child) => match &self.writer.unit(self.id).children[*child].what {
                ChildKind::Layer(step) => kinds::style(step),
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
                    && !kinds::is_module(step)
                {
                    let step = step.clone();
                    return self.function(call, &step, &[], index);
                }
                self.writer.access(self.id, &child.path)
            }
            Callee::Attribute(path, again) => {
                if let Again::Layer(step) = again
                    && !kinds::is_module(step)
                {
                    return self.function(call, &step.clone(), &[], index);
                }
                self.writer.access(self.id, path)
            }
            Callee::Input(input, again) => {
                if let Again::Layer(step) = again
                    && !kinds::is_module(step)
                {
                    return self.function(call, &step.clone(), &[], index);
                }
                self.inputs[*input].clone()
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
            (Style::Attention, [one]) => {
                let three = vec![one.clone(); 3];
                text.append(Template::joined(three, ", "));
                text.push(", need_weights=False)[0]");
            }
            (Style::Attention, all) => {
                text.append(Template::joined(all.iter().cloned(), ", "));
                text.push(", need_weights=False)[0]");
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
        Ok(Written { text, is_compound: false })
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
        let device = self.holders.keys().min().cloned();
        let device = device.as_deref();
        let given: Vec<(String, Template)> = given
            .iter()
            .map(|(name, operand)| (name.clone(), self.operand(operand).text))
            .collect();
        let sizes = self.sizes_at_hand(call, index);
        let mut wanted: Vec<usize> = Vec::new();
        let known: Vec<Known> = sizes
            .iter()
            .map(|(known, _)| Known {
                text: known.text.clone(),
                source: known.source,
                values: known.values.clone(),
            })
            .collect();
        let mut size_of = |values: &AtSizes<i64>| {
            let found = dims::expression(values, &known)?;
            wanted.extend(&found.sources);
            Some(Template::text(found.text))
        };
        let kind = step.shown().kind().to_owned();
        let refused = |reason| Error::Layer(kind, reason);
        let mut function =
            kinds::function(step, &operands, &given, device, &mut size_of).map_err(refused)?;
        let owner = call.labels.first().cloned().unwrap_or_default();
        function.text = function.text.prefixed(&owner);
        for source in wanted {
            if let Some((value, dim, name)) = &sizes[source].1
                && !self.kept.iter().any(|(_, _, known)| known == name)
            {
                self.kept.push((value.clone(), *dim, name.clone()));
            }
        }
        self.writer.needed.extend(function.helper);
        Ok(Written { text: function.text, is_compound: function.is_compound })
    }

    /// The sizes of what the call takes, then of what flows in, then of what was made before; with what
    /// must be kept for it.
    #[allow(clippy::type_complexity)]
    fn sizes_at_hand(
        &self,
        call: &Call<'m>,
        index: usize,
    ) -> Vec<(Known, Option<(Value, usize, String)>)> {
        let units = self.writer.units;
        let unit = &units[self.id.0];
        let own = call.operands.iter().filter_map(|operand| match operand {
            Operand::Value(value) => Some(value),
            _ => None,
        });
        let inputs = unit.inputs.iter().filter_map(|input| match input {
            Input::Value(value) => Some(value),
            Input::Attribute(_) => None,
        });
        let made = unit.calls[..index.min(unit.calls.len())].iter().flat_map(|call| &call.outputs);
        let mut all: Vec<(Known, Option<(Value, usize, String)>)> = Vec::new();
        let mut seen: Vec<&Value> = Vec::new();
        for value in own.chain(inputs).chain(made) {
            let (Some(types), Some(name)) = (unit.types.get(value), self.names.get(value)) else {
                continue;
            };
            if seen.contains(&value) || !self.known_at.contains_key(value) {
                continue;
            }
            seen.push(value);
            let name = name.text.plain();
            let holds = self.holders.get(&name).is_some_and(|(held, _)| held == value);
            for dim in 0..types.shown().shape.len() {
                let values = types.map(|ty| ty.shape[dim]);
                let source = all.len();
                let (text, kept) = match holds {
                    true => (format!("{name}.size({dim})"), None),
                    false => {
                        let kept = format!("{name}_size{dim}");
                        let known =
                            self.kept.iter().find(|(one, at, _)| one == value && *at == dim);
                        let kept =
                            known.map_or_else(|| self.free(&kept), |(.., name)| name.clone());
                        (kept.clone(), Some((value.clone(), dim, kept)))
                    }
                };
                all.push((Known { text, source, values }, kept));
            }
        }
        all
    }

    /// A name that no kept size has.
    fn free(&self, wanted: &str) -> String {
        let is_free = |name: &String| self.kept.iter().all(|(.., known)| known != name);
        let numbered = (2..).map(|number| format!("{wanted}_{number}"));
        std::iter::once(wanted.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
    }

    /// Puts the lines that keep sizes where they are known.
    fn keep_sizes(&mut self) {
        let mut kept: Vec<(usize, Template)> = Vec::new();
        for (value, dim, name) in std::mem::take(&mut self.kept) {
            let at = self.known_at.get(&value).copied().unwrap_or(0);
            let text = self.name(&value).text.plain();
            kept.push((at, Template::text(format!("{name} = {text}.size({dim})"))));
        }
        kept.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        for (at, line) in kept {
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
            let is_only = self.last.get(given).is_some_and(|(_, count)| *count == 1);
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
                let is_only = self.last.get(output).is_some_and(|(_, count)| *count == 1);
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
            ChildKind::Layer(step) => kinds::is_module(step) && kinds::style(step) == Style::Direct,
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
            let name = self.assign(value, None, index + calls.len() - 1, entry.as_ref());
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
            let text = Template::text(name);
            self.names.insert(value.clone(), Written { text, is_compound: false });
            self.known_at.insert(value.clone(), self.lines.len());
            return;
        }
        let mut list = Template::text("*[expert(");
        list.append(Template::joined(operands, ", "));
        list.push(") for expert in self]");
        for (place, call) in calls.iter().enumerate() {
            // The list stands for the first of them; the others are in it.
            let text = if place == 0 { list.clone() } else { Template::default() };
            self.names.insert(call.outputs[0].clone(), Written { text, is_compound: false });
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
        let is_free = |name: &String| !self.is_read_after(name, index);
        let numbered = (2..).map(|number| format!("outputs{number}"));
        let list = std::iter::once("outputs".to_owned()).chain(numbered).find(is_free);
        let list = list.unwrap_or_default();
        let last = self.last.get(value).map_or(index, |(last, _)| *last);
        self.holders.insert(list.clone(), (value.clone(), last));
        // Inside the loop nothing that is read after or before it in the next turn may be overwritten.
        let before = self.lines.len();
        let holders = self.holders.clone();
        for holder in self.holders.values_mut() {
            holder.1 = usize::MAX - 1;
        }
        let outer_last = self.last.clone();
        for inner in calls {
            for output in &inner.outputs {
                self.last.remove(output);
            }
        }
        for (place, inner) in calls.iter().enumerate() {
            self.note_reads(inner, place);
        }
        let entry = self.last.entry(value.clone()).or_insert((0, 0));
        *entry = (calls.len(), entry.1 + 1);
        for (place, inner) in calls.iter().enumerate() {
            let written = self.expression(inner, place)?;
            self.statement(inner, written.text, place);
        }
        let result = self.name(value).text;
        let body: Vec<Template> = self.lines.split_off(before);
        self.last = outer_last;
        self.holders = holders;
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
        let starred = Template::text(format!("*{list}"));
        self.names.insert(value.clone(), Written { text: starred, is_compound: false });
        self.known_at.remove(value);
        Ok(())
    }
}

fn is_index(step: &LayerStep<'_>) -> bool {
    let Some(used) = layer_of(step.shown()) else { return false };
    let layer: &dyn std::any::Any = &*used.layer;
    layer.is::<layers::operators::Index>()
}
