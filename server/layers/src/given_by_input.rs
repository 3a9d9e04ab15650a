//! Sizes that PyTorch's signatures have and the input tells: `in_channels`, `num_features`, `embed_dim`.
//!
//! Who writes them by habit writes another layer: `Conv2d(3, 64, 3)` would have 3 channels and a kernel of 64.
//! [`size_given_by_input`] tells such a call from one that means what it says.

use crate::{
    Arg, Arguments, DType, Entry, GivenByInput, Reason, Refusal, TensorType,
    refusal::{At, WayOut},
};

/// The last dimension of the first input.
pub(crate) fn features(inputs: &[TensorType]) -> Option<u64> {
    inputs.first()?.shape.last().copied()
}

/// The dimension after the batch.
pub(crate) fn channels_after_batch(inputs: &[TensorType]) -> Option<u64> {
    inputs.first()?.shape.get(1).copied()
}

/// The refusal of a call that has, as PyTorch's has, a size that the input gives. `made` is what came of the call
/// as it is written.
pub fn size_given_by_input(
    entry: &Entry,
    positional: &[Arg],
    named: &[(&str, Arg)],
    inputs: &[TensorType],
    made: Result<&Arguments, &Refusal>,
) -> Option<Refusal> {
    if let Some((given, (name, value))) = entry
        .given_by_input
        .iter()
        .find_map(|given| Some((given, named.iter().find(|(name, _)| *name == given.name)?)))
    {
        return Some(refusal(entry, given, value, inputs, At::Argument((*name).to_owned())));
    }
    let first = entry.given_by_input.first()?;
    let value = positional.get(first.place).filter(|value| is_size(value))?;
    let is_likely = match made {
        Ok(arguments) => is_this(value, (first.size)(inputs)?) && (first.is_doubtful)(arguments),
        Err(_) => true,
    };
    if !is_likely {
        return None;
    }
    let is_given = |place: usize| entry.given_by_input.iter().any(|given| given.place == place);
    let others = positional.iter().enumerate().filter(|(place, _)| !is_given(*place));
    let others: Vec<Arg> = others.map(|(_, value)| value.clone()).collect();
    let without = entry.arguments(&others, named).ok()?;
    if !inputs.is_empty() {
        (entry.bind)(&without.with_dtype(DType::F32), inputs)
            .and_then(|layer| layer.outputs(inputs))
            .ok()?;
    }
    let mut refusal = refusal(entry, first, value, inputs, At::Position(first.place));
    if let Some((param, value)) =
        entry.params.get(1).zip(positional.get(1)).filter(|_| made.is_ok())
    {
        refusal.message +=
            &format!("; if it is meant so, name what follows: `{}={value}`", param.name);
    }
    Some(refusal)
}

fn is_size(value: &Arg) -> bool {
    match value {
        Arg::Int(_) => true,
        Arg::List(items) => items.iter().all(|item| matches!(item, Arg::Int(_))),
        _ => false,
    }
}

fn is_this(value: &Arg, size: u64) -> bool {
    matches!(value, Arg::Int(value) if u64::try_from(*value) == Ok(size))
}

fn refusal(
    entry: &Entry,
    given: &GivenByInput,
    value: &Arg,
    inputs: &[TensorType],
    at: At,
) -> Refusal {
    let (layer, name) = (entry.name, given.name);
    let here = match (given.size)(inputs) {
        Some(size) if is_this(value, size) || matches!(value, Arg::List(_)) => String::new(),
        Some(size) => format!(" (here {size})"),
        None => String::new(),
    };
    let dims = match value {
        Arg::List(items) if items.len() > 1 => Some(("dims", items.len()))
            .filter(|(dims, _)| entry.params.iter().any(|param| param.name == *dims)),
        _ => None,
    };
    let more = match dims {
        Some((dims, count)) => format!("; of the last {count} dimensions it is `{dims}={count}`"),
        None => String::new(),
    };
    let message = format!(
        "`{layer}` takes no `{name}`: the input gives the size{here}. Leave out `{value}`{more}"
    );
    let mut refusal = Refusal::new(Reason::WrongArgument, at, message);
    refusal.way_out = Some(match dims {
        Some((dims, count)) => WayOut::Replace(format!("{dims}={count}")),
        None => WayOut::LeaveOut,
    });
    refusal
}
