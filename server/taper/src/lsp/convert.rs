//! Between the protocol's types and ours: places in three encodings, addresses and paths.

use line_index::{LineCol, LineIndex, WideEncoding, WideLineCol};
use syntax::{TextRange, TextSize};
use tower_lsp::lsp_types::{Position, PositionEncodingKind, Range, Url};

use super::view::View;

/// How a client counts columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Utf16,
    Utf32,
}

impl Encoding {
    pub fn kind(self) -> PositionEncodingKind {
        match self {
            Encoding::Utf8 => PositionEncodingKind::UTF8,
            Encoding::Utf16 => PositionEncodingKind::UTF16,
            Encoding::Utf32 => PositionEncodingKind::UTF32,
        }
    }

    fn wide(self) -> Option<WideEncoding> {
        match self {
            Encoding::Utf8 => None,
            Encoding::Utf16 => Some(WideEncoding::Utf16),
            Encoding::Utf32 => Some(WideEncoding::Utf32),
        }
    }
}

/// A text with its lines, to turn offsets into positions and back.
pub struct Positions<'t> {
    pub text: &'t str,
    pub lines: &'t LineIndex,
    pub encoding: Encoding,
}

impl Positions<'_> {
    pub fn position(&self, offset: TextSize) -> Position {
        let LineCol { line, col } = self.lines.line_col(offset.min(self.lines.len()));
        let wide =
            self.encoding.wide().and_then(|wide| self.lines.to_wide(wide, LineCol { line, col }));
        Position { line, character: wide.map_or(col, |wide| wide.col) }
    }

    pub fn range(&self, range: TextRange) -> Range {
        Range { start: self.position(range.start()), end: self.position(range.end()) }
    }

    /// The offset of a position; one outside the text is the nearest one inside.
    pub fn offset(&self, position: Position) -> TextSize {
        let Some(line) = self.lines.line(position.line) else { return self.lines.len() };
        // A column past the end of a line is its end, before the newline.
        let text = &self.text[usize::from(line.start())..usize::from(line.end())];
        let end = line.start() + TextSize::of(text.trim_end_matches(['\n', '\r']));
        let col = match self.encoding.wide() {
            None => Some(position.character),
            Some(wide) => {
                let position = WideLineCol { line: position.line, col: position.character };
                self.lines.to_utf8(wide, position).map(|position| position.col)
            }
        };
        let Some(col) = col else { return end };
        let mut offset =
            line.start().checked_add(TextSize::new(col)).map_or(end, |offset| offset.min(end));
        while !self.text.is_char_boundary(usize::from(offset)) {
            offset -= TextSize::new(1);
        }
        offset
    }

    /// The range of two positions, in whatever order they are.
    pub fn text_range(&self, range: Range) -> TextRange {
        let (start, end) = (self.offset(range.start), self.offset(range.end));
        TextRange::new(start.min(end), start.max(end))
    }
}

/// The path of a document as a workspace knows it.
pub fn key(uri: &Url) -> String {
    if let Some(View::Library { path }) = View::parse(uri) {
        return format!("{}{path}", library::PREFIX);
    }
    let path = (uri.scheme() == "file").then(|| uri.to_file_path().ok()).flatten();
    path.map_or_else(|| uri.to_string(), |path| crate::files::key(&path))
}

/// The document of a path of a workspace.
pub fn uri(path: &str) -> Option<Url> {
    Url::from_file_path(path).ok().or_else(|| Url::parse(path).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_in_three_encodings() {
        let text = "a😀é b\r\nx";
        let lines = LineIndex::new(text);
        for (encoding, column) in [(Encoding::Utf8, 8), (Encoding::Utf16, 5), (Encoding::Utf32, 4)]
        {
            let positions = Positions { text, lines: &lines, encoding };
            let position = Position { line: 0, character: column };
            let offset = TextSize::new(8);
            assert_eq!(positions.position(offset), position, "{encoding:?}");
            assert_eq!(positions.offset(position), offset, "{encoding:?}");
        }
    }

    #[test]
    fn positions_outside_are_clamped() {
        let text = "ab\r\nc";
        let lines = LineIndex::new(text);
        let positions = Positions { text, lines: &lines, encoding: Encoding::Utf16 };
        assert_eq!(positions.offset(Position { line: 0, character: 99 }), TextSize::new(2));
        assert_eq!(positions.offset(Position { line: 9, character: 0 }), TextSize::new(5));
    }
}
