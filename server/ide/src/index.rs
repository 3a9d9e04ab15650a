//! What stands in a sharded checkpoint's index: what its shards hold, and what is wrong with them.

use checkpoint::{Checkpoint, Problem};
use syntax::{TextRange, TextSize};

use crate::{Lens, Units};

/// The most problems that are shown.
const MAX_PROBLEMS: usize = 200;

/// The line above an index: how much its shards hold.
pub fn index_lens(checkpoint: &Checkpoint, units: Units) -> Lens {
    let dtypes: Vec<&str> = checkpoint.dtypes().into_iter().map(|(name, ..)| name).collect();
    let title = format!(
        "{} shards · {} tensors · {} elements · {} {}",
        checkpoint.files.len(),
        checkpoint.tensors.len(),
        units.count(checkpoint.numel()),
        units.bytes(checkpoint.bytes()),
        dtypes.join(", ")
    );
    Lens { range: TextRange::empty(TextSize::new(0)), title, click: None }
}

/// What is wrong, at the tensor or shard in the index's text that it is about.
pub fn index_problems(text: &str, checkpoint: &Checkpoint) -> Vec<(TextRange, String)> {
    let problems = checkpoint.problems.iter().take(MAX_PROBLEMS);
    let shown = problems.map(|problem| (place(text, problem), problem.to_string()));
    let rest = checkpoint.problems.len().saturating_sub(MAX_PROBLEMS);
    let start = TextRange::empty(TextSize::new(0));
    let more = (rest > 0).then(|| (start, format!("and {rest} more problems in these shards")));
    shown.chain(more).collect()
}

fn place(text: &str, problem: &Problem) -> TextRange {
    let of_tensor = problem.tensor.as_ref().and_then(|tensor| quoted(text, tensor));
    // One that the index does not name is at its shard; what is wrong with all, at their size.
    let of_shard = || quoted(text, &problem.file);
    let range = of_tensor.or_else(of_shard).or_else(|| quoted(text, "total_size"));
    range.unwrap_or_else(|| TextRange::empty(TextSize::new(0)))
}

/// Where a text first stands as JSON writes it.
fn quoted(text: &str, word: &str) -> Option<TextRange> {
    let word = serde_json::to_string(word).ok()?;
    let start = TextSize::try_from(text.find(&word)?).ok()?;
    Some(TextRange::at(start, TextSize::of(word.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_stand_where_they_are_about() {
        let text = r#"{"metadata": {"total_size": 8}, "weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
        let places = |tensor: Option<&str>, file: &str| {
            let (tensor, message) = (tensor.map(str::to_owned), String::new());
            &text[place(text, &Problem { file: file.to_owned(), tensor, message })]
        };
        assert_eq!(places(Some("b"), "2.safetensors"), "\"b\"");
        assert_eq!(places(Some("extra"), "1.safetensors"), "\"1.safetensors\"");
        assert_eq!(places(None, "2.safetensors"), "\"2.safetensors\"");
        assert_eq!(places(None, "model.safetensors.index.json"), "\"total_size\"");
    }
}
