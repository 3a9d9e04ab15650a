//! What stands for each value of a unit where it is run: a name for each, as few as a person would use.

use std::collections::HashMap;

use crate::{
    export::{
        dims::Known,
        unit::{Call, Callee, Input, Operand, Unit, Value},
    },
    names,
    template::Template,
};

/// Names for what is passed on from step to step.
const PASSED: &[&str] = &["x", "y", "z", "u", "v", "w"];

/// An expression, and whether it needs brackets beside an operator or a dot.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub text: Template,
    pub is_compound: bool,
    /// It is the name of what flows in, which is lent.
    pub is_lent: bool,
}

impl Written {
    /// A name, a call: what needs no brackets.
    pub fn simple(text: impl Into<Template>) -> Written {
        Written { text: text.into(), is_compound: false, is_lent: false }
    }

    /// The name of what flows in.
    pub fn lent(text: impl Into<Template>) -> Written {
        Written { is_lent: true, ..Written::simple(text) }
    }

    /// With brackets if it needs them.
    pub fn bracketed(&self) -> Template {
        if !self.is_compound {
            return self.text.clone();
        }
        let mut text = Template::text("(");
        text.append(self.text.clone());
        text.push(")");
        text
    }
}

/// A size that must be kept where it is known: the tensor's name is another one's by then.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub value: Value,
    pub dim: usize,
    pub name: String,
}

/// When a value is read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reads {
    /// The last call that reads it.
    pub last: usize,
    pub count: usize,
}

/// The names of a unit's values while its calls are written, one after the other.
#[derive(Default)]
pub(crate) struct Naming {
    texts: HashMap<Value, Written>,
    /// The value that a name stands for now, and the last call that reads it.
    holders: HashMap<String, (Value, usize)>,
    reads: HashMap<Value, Reads>,
    /// What flows in.
    pub inputs: Vec<String>,
    /// Names of what flows in and is no value.
    reserved: Vec<String>,
    /// After how many lines a value is known.
    known_at: HashMap<Value, usize>,
    kept: Vec<Kept>,
}

/// The names of values, to go back to.
pub(crate) struct Saved {
    holders: HashMap<String, (Value, usize)>,
    reads: HashMap<Value, Reads>,
}

impl Naming {
    /// Notes when the calls of a unit read its values, and that its outputs are read after all of them.
    pub fn note_unit(&mut self, unit: &Unit<'_>) {
        for (index, call) in unit.calls.iter().enumerate() {
            self.note_call(call, index);
        }
        for value in &unit.outputs {
            self.note_read(value, unit.calls.len());
        }
    }

    pub fn note_call(&mut self, call: &Call<'_>, index: usize) {
        let given = match &call.callee {
            Callee::Function(_, given) => &given[..],
            _ => &[],
        };
        for operand in call.operands.iter().chain(given.iter().map(|(_, operand)| operand)) {
            if let Operand::Value(value) | Operand::List(value) = operand {
                self.note_read(value, index);
            }
        }
        if let Callee::Experts { calls, value, .. } = &call.callee {
            for inner in calls {
                self.note_call(inner, index);
            }
            self.note_read(value, index);
        }
    }

    pub fn note_read(&mut self, value: &Value, index: usize) {
        let reads = self.reads.entry(value.clone()).or_default();
        *reads = Reads { last: reads.last.max(index), count: reads.count + 1 };
    }

    /// Notes a read of a value that has its name already.
    pub fn read_again(&mut self, value: &Value, index: usize) {
        self.note_read(value, index);
        for (_, last) in self.holders.values_mut().filter(|(held, _)| held == value) {
            *last = (*last).max(index);
        }
    }

    pub fn reads(&self, value: &Value) -> Option<Reads> {
        self.reads.get(value).copied()
    }

    /// Names what flows in; `written` are the names that the block's text has.
    pub fn name_inputs(
        &mut self,
        unit: &Unit<'_>,
        written: &[String],
        variable: fn(&str) -> String,
    ) {
        for (index, input) in unit.inputs.iter().enumerate() {
            let wanted = match input {
                Input::Value(_) => match (written.get(index), PASSED.get(index)) {
                    (Some(name), _) => variable(name),
                    (None, Some(name)) => (*name).to_owned(),
                    (None, None) => format!("x{index}"),
                },
                Input::Attribute(seen) => variable(&seen.path.replace('.', "_")),
            };
            let is_free = |name: &str| self.inputs.iter().all(|known| known != name);
            let name = names::free(&wanted, is_free);
            self.inputs.push(name.clone());
            match input {
                Input::Value(value) => {
                    self.hold(&name, value);
                    self.set(value, Written::lent(name), 0);
                }
                // Nothing may take its name.
                Input::Attribute(_) => self.reserved.push(name),
            }
        }
    }

    /// What stands for a value.
    pub fn text(&self, value: &Value) -> Option<&Written> {
        self.texts.get(value)
    }

    /// Has a text stand for a value, which is known after so many lines.
    pub fn set(&mut self, value: &Value, text: Written, lines: usize) {
        self.texts.insert(value.clone(), text);
        self.known_at.insert(value.clone(), lines);
    }

    /// Has a text stand for a value that no name holds: its sizes are not at hand.
    pub fn set_expression(&mut self, value: &Value, text: Written) {
        self.texts.insert(value.clone(), text);
        self.known_at.remove(value);
    }

    /// Has a name stand for a value from now on.
    pub fn hold(&mut self, name: &str, value: &Value) {
        let last = self.reads.get(value).map_or(0, |reads| reads.last);
        self.holders.insert(name.to_owned(), (value.clone(), last));
    }

    /// A name that stands for some value now.
    pub fn any_held(&self) -> Option<&str> {
        self.holders.keys().map(String::as_str).min()
    }

    /// A call gives what it takes: the name stands for both. Whether the text is such a name.
    pub fn alias(&mut self, output: &Value, text: &Written, lines: usize) -> bool {
        let Some(holder) = self.holders.get_mut(&text.text.plain()) else { return false };
        let last = self.reads.get(output).map_or(0, |reads| reads.last);
        *holder = (output.clone(), last.max(holder.1));
        self.set(output, text.clone(), lines);
        true
    }

    /// Whether a later call needs what the name stands for.
    pub fn is_read_after(&self, name: &str, index: usize) -> bool {
        self.holders.get(name).is_some_and(|(_, last)| *last > index)
            || self.reserved.iter().any(|reserved| reserved == name)
    }

    /// The first of a name and the same with numbers that no later call needs.
    pub fn free(&self, wanted: &str, index: usize) -> String {
        names::free(wanted, |name| !self.is_read_after(name, index))
    }

    /// A name for a value that a call gives: its label, unless it is only passed on; `first` is what the
    /// call takes. `None` if nobody reads it.
    pub fn assign(
        &mut self,
        value: &Value,
        label: Option<String>,
        index: usize,
        first: Option<&Value>,
    ) -> Option<String> {
        let reads = self.reads(value)?;
        let is_passed_on = reads.last == index + 1;
        let label = label.filter(|_| !is_passed_on).map(|label| self.free(&label, index));
        let passed = || {
            // What is passed on keeps its name.
            let text = self.text(first?)?.text.plain();
            let is_kept = PASSED.contains(&text.as_str()) && !self.is_read_after(&text, index);
            is_kept.then_some(text)
        };
        let other = || {
            let numbered = (1..).map(|number| format!("x{number}"));
            let names = PASSED.iter().map(|name| (*name).to_owned()).chain(numbered);
            names.into_iter().find(|name| !self.is_read_after(name, index))
        };
        let name = label.or_else(passed).or_else(other)?;
        self.hold(&name, value);
        Some(name)
    }

    /// The calls come that a loop makes, the last of which gives `value`. In it nothing that is read after it,
    /// or before it in the next turn, may be overwritten: no name that stands for something is given to another
    /// value.
    pub fn begin_loop(&mut self, calls: &[Call<'_>], value: &Value) -> Saved {
        let saved = Saved { holders: self.holders.clone(), reads: self.reads.clone() };
        for holder in self.holders.values_mut() {
            holder.1 = usize::MAX - 1;
        }
        for output in calls.iter().flat_map(|inner| &inner.outputs) {
            self.reads.remove(output);
        }
        for (place, inner) in calls.iter().enumerate() {
            self.note_call(inner, place);
        }
        self.note_read(value, calls.len());
        saved
    }

    pub fn end_loop(&mut self, saved: Saved) {
        self.holders = saved.holders;
        self.reads = saved.reads;
    }

    /// The sizes of what the call takes, then of what flows in, then of what was made before, each with what
    /// must be kept for it. `size` writes a size of a tensor that has a name.
    pub fn sizes_at_hand(
        &self,
        unit: &Unit<'_>,
        call: &Call<'_>,
        index: usize,
        size: fn(&str, usize) -> String,
    ) -> Vec<(Known, Option<Kept>)> {
        let own = call.operands.iter().filter_map(|operand| match operand {
            Operand::Value(value) => Some(value),
            _ => None,
        });
        let inputs = unit.inputs.iter().filter_map(|input| match input {
            Input::Value(value) => Some(value),
            Input::Attribute(_) => None,
        });
        let made = unit.calls[..index.min(unit.calls.len())].iter().flat_map(|call| &call.outputs);
        let mut all: Vec<(Known, Option<Kept>)> = Vec::new();
        let mut seen: Vec<&Value> = Vec::new();
        for value in own.chain(inputs).chain(made) {
            let (Some(types), Some(text)) = (unit.types.get(value), self.texts.get(value)) else {
                continue;
            };
            if seen.contains(&value) || !self.known_at.contains_key(value) {
                continue;
            }
            seen.push(value);
            let name = text.text.plain();
            let holds = self.holders.get(&name).is_some_and(|(held, _)| held == value);
            for dim in 0..types.shown().shape.len() {
                let values = types.map(|ty| ty.shape[dim]);
                let source = all.len();
                let (text, kept) = match holds {
                    true => (size(&name, dim), None),
                    false => {
                        let kept = self.kept_size(value, dim, &name);
                        (kept.name.clone(), Some(kept))
                    }
                };
                all.push((Known { text, source, values }, kept));
            }
        }
        all
    }

    fn kept_size(&self, value: &Value, dim: usize, name: &str) -> Kept {
        let known = self.kept.iter().find(|kept| kept.value == *value && kept.dim == dim);
        known.cloned().unwrap_or_else(|| {
            let is_free = |name: &str| self.kept.iter().all(|kept| kept.name != name);
            let name = names::free(&format!("{name}_size{dim}"), is_free);
            Kept { value: value.clone(), dim, name }
        })
    }

    /// Has a size be kept.
    pub fn keep(&mut self, kept: &Kept) {
        if self.kept.iter().all(|known| known.name != kept.name) {
            self.kept.push(kept.clone());
        }
    }

    /// The sizes that are kept, each with the number of lines after which it is known; the last first.
    pub fn kept(&self) -> Vec<(usize, &Kept)> {
        let at = |kept: &Kept| self.known_at.get(&kept.value).copied().unwrap_or(0);
        let mut all: Vec<(usize, &Kept)> = self.kept.iter().map(|kept| (at(kept), kept)).collect();
        all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        all
    }
}
