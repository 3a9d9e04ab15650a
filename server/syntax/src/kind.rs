//! The kinds of tokens and nodes, in one enum.

/// What a token or a node of the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)] // The names say it; `language.md` §14 has the grammar.
pub enum Kind {
    // Trivia.
    Whitespace,
    Newline,
    Comment,
    DocComment,

    // Tokens with a text of their own.
    Name,
    Int,
    Float,
    Magnitude,
    String,
    /// `"layer{`, the start of a string that computes.
    StringHead,
    /// `}-{`, a part between two computed ones.
    StringMid,
    /// `}"`, the end.
    StringTail,

    // Reserved words.
    ForKw,
    InKw,
    IfKw,
    ElseKw,
    AndKw,
    OrKw,
    NotKw,
    TrueKw,
    FalseKw,
    NoneKw,
    ItKw,

    // Punctuation.
    LeftParen,
    RightParen,
    LeftBracket,
    RightBracket,
    LeftBrace,
    RightBrace,
    Comma,
    Colon,
    Semicolon,
    Dot,
    Ellipsis,
    Arrow,
    Equal,
    EqualEqual,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Plus,
    Minus,
    Star,
    StarStar,
    Slash,
    SlashSlash,
    Percent,
    At,
    /// A character that begins no token, or a string without its end.
    Unknown,
    /// The end of the text; never in a tree.
    Eof,

    // Nodes: items.
    File,
    Use,
    Model,
    Block,
    Parameters,
    Parameter,
    Body,

    // Nodes: lines.
    Let,
    Input,
    Output,
    ParamDecl,
    BufferDecl,
    StatedMacs,
    StatedElementwise,
    DtypeLine,
    Expect,
    ExpectAt,
    ExpectOn,
    Weights,
    Step,
    Labels,
    Sources,

    // Nodes: stages.
    LayerStage,
    Group,
    Pattern,
    Repeat,
    For,
    Targets,
    Target,
    If,
    Branch,
    Choose,

    // Nodes: shapes.
    Shape,
    Dtype,
    DimRest,
    DimAny,
    DimDefault,
    Dim,

    // Nodes: expressions.
    NameExpr,
    Literal,
    Interpolated,
    ItExpr,
    Paren,
    List,
    Postfix,
    Path,
    Field,
    Call,
    Argument,
    Index,
    Slice,
    EllipsisExpr,
    Unary,
    Power,
    Term,
    Sum,
    Comparison,
    Not,
    And,
    Or,
    Conditional,

    /// Tokens that fit nowhere.
    Error,
}

impl Kind {
    /// White space, a newline or a comment.
    pub fn is_trivia(self) -> bool {
        self <= Kind::DocComment
    }

    /// One of the words that Python reserves too, or `true false none it`.
    pub fn is_reserved(self) -> bool {
        (Kind::ForKw..=Kind::ItKw).contains(&self)
    }

    /// `)`, `]` or `}`.
    pub fn is_closing(self) -> bool {
        matches!(self, Kind::RightParen | Kind::RightBracket | Kind::RightBrace)
    }

    /// `(`, `[` or `{`.
    pub fn is_opening(self) -> bool {
        matches!(self, Kind::LeftParen | Kind::LeftBracket | Kind::LeftBrace)
    }

    /// The bracket that closes this one.
    pub fn closing(self) -> Option<Kind> {
        match self {
            Kind::LeftParen => Some(Kind::RightParen),
            Kind::LeftBracket => Some(Kind::RightBracket),
            Kind::LeftBrace => Some(Kind::RightBrace),
            _ => None,
        }
    }

    /// An expression node.
    pub fn is_expr(self) -> bool {
        (Kind::NameExpr..=Kind::Postfix).contains(&self)
            || (Kind::Unary..=Kind::Conditional).contains(&self)
    }

    /// A stage node of a step.
    pub fn is_stage(self) -> bool {
        matches!(
            self,
            Kind::LayerStage
                | Kind::Group
                | Kind::Pattern
                | Kind::Repeat
                | Kind::For
                | Kind::If
                | Kind::Choose
        )
    }

    /// How a message calls it.
    pub fn describe(self) -> &'static str {
        match self {
            Kind::Newline => "the end of the line",
            Kind::Eof => "the end of the file",
            Kind::Name => "a name",
            Kind::Int | Kind::Float | Kind::Magnitude => "a number",
            Kind::String | Kind::StringHead | Kind::StringMid | Kind::StringTail => "a string",
            Kind::LeftParen => "`(`",
            Kind::RightParen => "`)`",
            Kind::LeftBracket => "`[`",
            Kind::RightBracket => "`]`",
            Kind::LeftBrace => "`{`",
            Kind::RightBrace => "`}`",
            Kind::Comma => "`,`",
            Kind::Colon => "`:`",
            Kind::Semicolon => "`;`",
            Kind::Arrow => "`->`",
            Kind::Equal => "`=`",
            _ => "this",
        }
    }
}
