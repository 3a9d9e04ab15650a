//! Text with places for what may differ between the uses of a class.

use std::fmt::Write as _;

/// A text with holes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Hole(Hole),
}

/// An argument.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hole {
    /// What it is called where it is given.
    pub name: String,
    /// Its value, as it is written.
    pub value: String,
}

impl Template {
    pub fn text(text: impl Into<String>) -> Template {
        Template { pieces: vec![Piece::Text(text.into())] }
    }

    pub fn hole(name: &str, value: impl Into<String>) -> Template {
        let hole = Hole { name: name.to_owned(), value: value.into() };
        Template { pieces: vec![Piece::Hole(hole)] }
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub fn push(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    pub fn append(&mut self, other: Template) {
        for piece in other.pieces {
            match piece {
                Piece::Text(text) => self.push(&text),
                hole => self.pieces.push(hole),
            }
        }
    }

    /// The texts and templates in a row.
    pub fn joined(parts: impl IntoIterator<Item = Template>, separator: &str) -> Template {
        let mut joined = Template::default();
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                joined.push(separator);
            }
            joined.append(part);
        }
        joined
    }

    /// What follows a text that it begins with.
    pub fn after(&self, start: &str) -> Option<Template> {
        let Some((Piece::Text(first), rest)) = self.pieces.split_first() else { return None };
        let mut after = Template::text(first.strip_prefix(start)?);
        after.pieces.extend_from_slice(rest);
        Some(after)
    }

    /// What precedes a text that it ends with.
    pub fn before(&self, end: &str) -> Option<Template> {
        let Some((Piece::Text(last), rest)) = self.pieces.split_last() else { return None };
        let mut pieces = rest.to_vec();
        pieces.push(Piece::Text(last.strip_suffix(end)?.to_owned()));
        Some(Template { pieces })
    }

    /// What stands in brackets, if those around all of it are one pair.
    pub fn inside(&self, open: &str, close: &str) -> Option<Template> {
        let inner = self.after(open)?.before(close)?;
        let mut depth = 0usize;
        for letter in inner.plain().chars() {
            match letter {
                '(' => depth += 1,
                ')' => depth = depth.checked_sub(1)?,
                _ => {}
            }
        }
        Some(inner)
    }

    /// The text where it stands four columns further in.
    pub fn indented(&self) -> Template {
        let mut text = Template::default();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push(&piece.replace('\n', "\n    ")),
                hole => text.pieces.push(hole.clone()),
            }
        }
        text
    }

    /// Its holes are those of `owner`, which tells two of one name apart.
    pub fn prefixed(mut self, owner: &str) -> Template {
        let is_name = |letter: char| letter.is_ascii_alphanumeric();
        let owner = owner.replace(|letter| !is_name(letter), "_");
        if !owner.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            return self;
        }
        for piece in &mut self.pieces {
            if let Piece::Hole(hole) = piece {
                let own = hole.name.rsplit('.').next().unwrap_or_default();
                hole.name = format!("{owner}.{own}");
            }
        }
        self
    }

    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Text(_) => None,
        })
    }

    /// What two uses of one class have in common.
    pub fn skeleton(&self) -> String {
        self.filled(|hole| format!("\0{}\0", hole.name))
    }

    /// The text with its values.
    pub fn plain(&self) -> String {
        self.filled(|hole| hole.value.clone())
    }

    /// The text with something in each hole.
    pub fn filled(&self, mut fill: impl FnMut(&Hole) -> String) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                // Writing to a string does not fail.
                Piece::Hole(hole) => drop(write!(text, "{}", fill(hole))),
            }
        }
        text
    }
}

impl From<&str> for Template {
    fn from(text: &str) -> Template {
        Template::text(text)
    }
}

impl From<String> for Template {
    fn from(text: String) -> Template {
        Template::text(text)
    }
}
