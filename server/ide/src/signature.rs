//! The signature of the call that is being typed.

use syntax::TextSize;

use crate::{
    Snapshot,
    calls::{Callee, open_call},
};

/// A signature with the parameter that the cursor is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// `Conv2d(out_channels, kernel_size, stride=1)`
    pub label: String,
    /// Where each parameter stands in the label, in bytes.
    pub parameters: Vec<std::ops::Range<usize>>,
    /// The one at the cursor.
    pub active: Option<usize>,
    /// What the layer or block does, in Markdown.
    pub documentation: String,
}

/// The signature of the innermost call around an offset.
pub fn signature(snapshot: &Snapshot, offset: TextSize) -> Option<Signature> {
    let call = open_call(snapshot.parse().tree(), offset)?;
    let callee = Callee::of(snapshot, &call)?;
    let parameters = callee.parameters(snapshot);
    let mut label = format!("{}(", call.callee.text());
    let mut ranges = Vec::new();
    for (index, parameter) in parameters.iter().enumerate() {
        if index > 0 {
            label.push_str(", ");
        }
        let start = label.len();
        let is_variadic = parameter.entry.is_some_and(|param| param.kind == layers::Kind::Variadic);
        label.push_str(if is_variadic { "*" } else { "" });
        label.push_str(parameter.name);
        if let Some(default) = parameter.default {
            label.push('=');
            label.push_str(default);
        }
        ranges.push(start..label.len());
    }
    label.push(')');
    let by_name = |name: &str| parameters.iter().position(|parameter| parameter.name == name);
    let variadic = parameters
        .iter()
        .position(|one| one.entry.is_some_and(|param| param.kind == layers::Kind::Variadic));
    let active = match call.name {
        Some(name) => by_name(name),
        None => Some(call.index)
            .filter(|index| *index < parameters.len())
            .or(variadic.filter(|variadic| call.index >= *variadic)),
    };
    let documentation = match callee {
        Callee::Layer(entry) => format!("{}\n\n{}", entry.summary, entry.doc),
        Callee::Item(item) => {
            syntax::ast::doc_comment(snapshot.workspace.node(item)).unwrap_or_default()
        }
    };
    Some(Signature { label, parameters: ranges, active, documentation })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cursor;

    /// The label with the active parameter in angle brackets.
    fn shown(source: &str) -> String {
        let (snapshot, offset) = cursor(source);
        let Some(found) = signature(&snapshot, offset) else { return String::new() };
        let mut label = found.label.clone();
        if let Some(active) = found.active {
            let range = found.parameters[active].clone();
            label.insert(range.end, '>');
            label.insert(range.start, '<');
        }
        label
    }

    #[test]
    fn the_parameter_at_the_cursor() {
        for (source, expected) in [
            ("block A { Linear($0) }", "Linear(<out_features>, bias=true)"),
            ("block A { Linear(3, $0) }", "Linear(out_features, <bias=true>)"),
            ("block A { Linear(bias=false, out_features=$0", "Linear(<out_features>, bias=true)"),
            ("block A { Linear(max(1, $0", ""),
            ("block A { Reshape(1, 2, $0) }", "Reshape(<*shape>)"),
            ("block A { Pad(1, 2, mode=$0", "Pad(*pad, <mode=\"constant\">, value=none)"),
            ("block B(heads, width = 3) { ReLU }\nblock A { B(1, $0", "B(heads, <width=3>)"),
            ("block A { F.relu($0) }", "relu()"),
            ("block A { torch.softmax($0) }", "softmax(<dim=none>)"),
            ("block A { Linear(3) $0}", ""),
            ("block A { Linear([1, $0", "Linear(<out_features>, bias=true)"),
        ] {
            assert_eq!(shown(source), expected, "{source}");
        }
    }
}
