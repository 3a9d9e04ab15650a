//! Typed views of the tree's nodes. A part that a half-typed line lacks is `None`.

use text_size::TextRange;

use crate::{Kind, NodeId, SyntaxNode, SyntaxToken};

macro_rules! nodes {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name<'t>(SyntaxNode<'t>);

        impl<'t> $name<'t> {
            /// The node, if it is of this type.
            pub fn cast(node: SyntaxNode<'t>) -> Option<Self> {
                (node.kind() == Kind::$name).then_some($name(node))
            }

            /// The node in the tree.
            pub fn syntax(self) -> SyntaxNode<'t> {
                self.0
            }

            /// Its number in the tree.
            pub fn id(self) -> NodeId {
                self.0.id()
            }

            /// Where it stands.
            pub fn range(self) -> TextRange {
                self.0.range()
            }
        }
    )*};
}

nodes! {
    /// A whole file.
    File,
    /// `use "blocks.taper": Bottleneck`
    Use,
    /// `model AlexNet(num_classes = 1000) { … }`
    Model,
    /// `block Attention(heads) { … }`
    Block,
    /// `name = default`, of a model or block.
    Parameter,
    /// A dotted name.
    Path,
    /// `{ … }`
    Body,
    /// `let dim = hidden_size // heads`
    Let,
    /// `input x: [N, C]`
    Input,
    /// `output y: [N, C]`
    Output,
    /// `param weight: [n, m]`
    ParamDecl,
    /// `buffer index: i64[n]`
    BufferDecl,
    /// `macs = N * C`
    StatedMacs,
    /// `elementwise = N * C`
    StatedElementwise,
    /// `dtype bf16`
    DtypeLine,
    /// `expect params < 5M at N = 1 on "cuda"`
    Expect,
    /// `weights "model.safetensors" under "model." for transformer`
    Weights,
    /// One step.
    Step,
    /// The labels before a step's colon.
    Labels,
    /// What flows into a step, or its one layer.
    Sources,
    /// A layer after an arrow.
    LayerStage,
    /// Braces as a stage.
    Group,
    /// `[N, C, h, w]`
    Pattern,
    /// `repeat n { … }`
    Repeat,
    /// `for i in range(n) { … }`
    For,
    /// The names that a loop binds.
    Targets,
    /// One of them, or several in parentheses.
    Target,
    /// `if … { … } else { … }`
    If,
    /// One branch of an `if`.
    Branch,
    /// `choose 2 of 8 { … }`
    Choose,
    /// A dtype and a pattern.
    Shape,
    /// `f32` before a pattern.
    Dtype,
    /// An argument of a call, or a size after `at`.
    Argument,
    /// `(a, b = c)` after a value.
    Call,
    /// `.name` after a value.
    Field,
    /// `[a, b:c]` after a value.
    Index,
    /// `a:b:c` in an index.
    Slice,
}

/// The comments `##` right above a node, without their marks.
pub fn doc_comment(node: SyntaxNode<'_>) -> Option<String> {
    let mut lines = Vec::new();
    let mut token = node.first_token()?.previous();
    while let Some(trivia) = token {
        match trivia.kind() {
            Kind::DocComment => {
                let line = trivia.text().trim_start_matches('#');
                lines.push(line.strip_prefix(' ').unwrap_or(line));
            }
            Kind::Newline if trivia.previous().is_some_and(|t| t.kind() == Kind::Newline) => break,
            Kind::Whitespace | Kind::Newline => {}
            _ => break,
        }
        token = trivia.previous();
    }
    lines.reverse();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn child<'t, T>(node: SyntaxNode<'t>, cast: impl Fn(SyntaxNode<'t>) -> Option<T>) -> Option<T> {
    node.children().find_map(cast)
}

fn is_broken(node: SyntaxNode<'_>) -> bool {
    node.children().any(|child| child.kind() == Kind::Error)
}

fn exprs<'t>(node: SyntaxNode<'t>) -> impl Iterator<Item = Expr<'t>> {
    node.children().filter_map(Expr::cast)
}

/// A `model` or a `block`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'t> {
    /// A model.
    Model(Model<'t>),
    /// A block.
    Block(Block<'t>),
}

impl<'t> Item<'t> {
    /// The node, if it is an item.
    pub fn cast(node: SyntaxNode<'t>) -> Option<Item<'t>> {
        let model = Model::cast(node).map(Item::Model);
        model.or_else(|| Block::cast(node).map(Item::Block))
    }

    /// The node in the tree.
    pub fn syntax(self) -> SyntaxNode<'t> {
        match self {
            Item::Model(model) => model.0,
            Item::Block(block) => block.0,
        }
    }

    /// Its number in the tree.
    pub fn id(self) -> NodeId {
        self.syntax().id()
    }

    /// Whether it is a model.
    pub fn is_model(self) -> bool {
        matches!(self, Item::Model(_))
    }

    /// The token of its name.
    pub fn name(self) -> Option<SyntaxToken<'t>> {
        // The keyword is a name too; the item's name is the second.
        self.syntax().tokens().filter(|token| token.kind() == Kind::Name).nth(1)
    }

    /// Its parameters.
    pub fn parameters(self) -> impl Iterator<Item = Parameter<'t>> {
        let list = self.syntax().children().find(|node| node.kind() == Kind::Parameters);
        list.into_iter().flat_map(|list| list.children().filter_map(Parameter::cast))
    }

    /// Its body.
    pub fn body(self) -> Option<Body<'t>> {
        child(self.syntax(), Body::cast)
    }
}

impl<'t> File<'t> {
    pub(crate) fn of(root: SyntaxNode<'t>) -> File<'t> {
        File(root)
    }

    /// The models and blocks at the top.
    pub fn items(self) -> impl Iterator<Item = Item<'t>> {
        self.0.children().filter_map(Item::cast)
    }

    /// The files it uses.
    pub fn uses(self) -> impl Iterator<Item = Use<'t>> {
        self.0.children().filter_map(Use::cast)
    }
}

impl<'t> Use<'t> {
    /// The token of the path.
    pub fn path(self) -> Option<SyntaxToken<'t>> {
        self.0.token(Kind::String)
    }

    /// The names taken; none means all.
    pub fn names(self) -> impl Iterator<Item = SyntaxToken<'t>> {
        // The first name is the keyword.
        self.0.tokens().filter(|token| token.kind() == Kind::Name).skip(1)
    }
}

impl<'t> Parameter<'t> {
    /// Its name, which may be dotted.
    pub fn path(self) -> Option<Path<'t>> {
        child(self.0, Path::cast)
    }

    /// Its default.
    pub fn default(self) -> Option<Expr<'t>> {
        child(self.0, Expr::cast)
    }
}

impl<'t> Path<'t> {
    /// The names between the dots.
    pub fn segments(self) -> impl Iterator<Item = SyntaxToken<'t>> {
        self.0.tokens().filter(|token| token.kind() != Kind::Dot)
    }

    /// The whole path.
    pub fn text(self) -> &'t str {
        self.0.text()
    }
}

/// A line of a body.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)] // Each holds the node of its name.
pub enum Line<'t> {
    Item(Item<'t>),
    Let(Let<'t>),
    Input(Input<'t>),
    Output(Output<'t>),
    Param(ParamDecl<'t>),
    Buffer(BufferDecl<'t>),
    Macs(StatedMacs<'t>),
    Elementwise(StatedElementwise<'t>),
    Dtype(DtypeLine<'t>),
    Expect(Expect<'t>),
    Weights(Weights<'t>),
    Step(Step<'t>),
}

impl<'t> Line<'t> {
    /// The node, if it is a line.
    pub fn cast(node: SyntaxNode<'t>) -> Option<Line<'t>> {
        Some(match node.kind() {
            Kind::Model | Kind::Block => Line::Item(Item::cast(node)?),
            Kind::Let => Line::Let(Let(node)),
            Kind::Input => Line::Input(Input(node)),
            Kind::Output => Line::Output(Output(node)),
            Kind::ParamDecl => Line::Param(ParamDecl(node)),
            Kind::BufferDecl => Line::Buffer(BufferDecl(node)),
            Kind::StatedMacs => Line::Macs(StatedMacs(node)),
            Kind::StatedElementwise => Line::Elementwise(StatedElementwise(node)),
            Kind::DtypeLine => Line::Dtype(DtypeLine(node)),
            Kind::Expect => Line::Expect(Expect(node)),
            Kind::Weights => Line::Weights(Weights(node)),
            Kind::Step => Line::Step(Step(node)),
            _ => return None,
        })
    }
}

impl<'t> Body<'t> {
    /// Its lines, in order.
    pub fn lines(self) -> impl Iterator<Item = Line<'t>> {
        self.0.children().filter_map(Line::cast)
    }

    /// The items declared in it.
    pub fn items(self) -> impl Iterator<Item = Item<'t>> {
        self.0.children().filter_map(Item::cast)
    }
}

macro_rules! line_with_name {
    ($($name:ident),*) => {$(
        impl<'t> $name<'t> {
            /// The token of the name that it gives.
            pub fn name(self) -> Option<SyntaxToken<'t>> {
                // The keyword is a name too.
                self.0.tokens().filter(|token| token.kind() == Kind::Name).nth(1)
            }
        }
    )*};
}
line_with_name!(Let, Input, Output);

macro_rules! line_with_expr {
    ($($name:ident),*) => {$(
        impl<'t> $name<'t> {
            /// Its expression.
            pub fn expr(self) -> Option<Expr<'t>> {
                child(self.0, Expr::cast)
            }
        }
    )*};
}
line_with_expr!(Let, StatedMacs, StatedElementwise, DtypeLine, Expect);

macro_rules! line_with_shape {
    ($($name:ident),*) => {$(
        impl<'t> $name<'t> {
            /// Its shape.
            pub fn shape(self) -> Option<Shape<'t>> {
                child(self.0, Shape::cast)
            }
        }
    )*};
}
line_with_shape!(Input, Output, ParamDecl, BufferDecl);

macro_rules! line_with_path {
    ($($name:ident),*) => {$(
        impl<'t> $name<'t> {
            /// Its path.
            pub fn path(self) -> Option<Path<'t>> {
                child(self.0, Path::cast)
            }
        }
    )*};
}
line_with_path!(ParamDecl, BufferDecl, Weights);

macro_rules! declared_line {
    ($($name:ident),*) => {$(
        impl<'t> $name<'t> {
            /// The string that its path is computed by, if it is one.
            pub fn computed_path(self) -> Option<Expr<'t>> {
                child(self.0, Expr::cast)
            }

            /// Whether a part of it could not be read.
            pub fn is_broken(self) -> bool {
                is_broken(self.0)
            }
        }
    )*};
}
declared_line!(ParamDecl, BufferDecl);

impl<'t> Expect<'t> {
    /// The sizes after `at`.
    pub fn at(self) -> impl Iterator<Item = Argument<'t>> {
        let at = self.0.children().find(|node| node.kind() == Kind::ExpectAt);
        at.into_iter().flat_map(|at| at.children().filter_map(Argument::cast))
    }

    /// The device after `on`.
    pub fn device(self) -> Option<SyntaxToken<'t>> {
        let on = self.0.children().find(|node| node.kind() == Kind::ExpectOn)?;
        on.token(Kind::String)
    }
}

impl<'t> Weights<'t> {
    /// The token of the file's path.
    pub fn file(self) -> Option<SyntaxToken<'t>> {
        self.0.token(Kind::String)
    }

    /// The token of the prefix after `under`.
    pub fn under(self) -> Option<SyntaxToken<'t>> {
        self.0.tokens().filter(|token| token.kind() == Kind::String).nth(1)
    }
}

impl<'t> Step<'t> {
    /// Its labels: names, whole numbers or strings.
    pub fn labels(self) -> impl Iterator<Item = Expr<'t>> {
        child(self.0, Labels::cast).into_iter().flat_map(|labels| exprs(labels.0))
    }

    /// Whether it was written as Python does: `x = Linear(3)`.
    pub fn is_assignment(self) -> bool {
        self.0.token(Kind::Equal).is_some()
    }

    /// What stands before the first arrow, unless it is a stage by its looks.
    pub fn sources(self) -> Option<Sources<'t>> {
        child(self.0, Sources::cast)
    }

    /// Its stages, the first one only if it is one by its looks.
    pub fn stages(self) -> impl Iterator<Item = Stage<'t>> {
        self.0.children().filter_map(Stage::cast)
    }
}

impl<'t> Sources<'t> {
    /// The expressions.
    pub fn exprs(self) -> impl Iterator<Item = Expr<'t>> {
        exprs(self.0)
    }
}

/// A stage of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)] // Each holds the node of its name.
pub enum Stage<'t> {
    Layer(LayerStage<'t>),
    Group(Group<'t>),
    Pattern(Pattern<'t>),
    Repeat(Repeat<'t>),
    For(For<'t>),
    If(If<'t>),
    Choose(Choose<'t>),
}

impl<'t> Stage<'t> {
    /// The node, if it is a stage.
    pub fn cast(node: SyntaxNode<'t>) -> Option<Stage<'t>> {
        Some(match node.kind() {
            Kind::LayerStage => Stage::Layer(LayerStage(node)),
            Kind::Group => Stage::Group(Group(node)),
            Kind::Pattern => Stage::Pattern(Pattern(node)),
            Kind::Repeat => Stage::Repeat(Repeat(node)),
            Kind::For => Stage::For(For(node)),
            Kind::If => Stage::If(If(node)),
            Kind::Choose => Stage::Choose(Choose(node)),
            _ => return None,
        })
    }

    /// The node in the tree.
    pub fn syntax(self) -> SyntaxNode<'t> {
        match self {
            Stage::Layer(node) => node.0,
            Stage::Group(node) => node.0,
            Stage::Pattern(node) => node.0,
            Stage::Repeat(node) => node.0,
            Stage::For(node) => node.0,
            Stage::If(node) => node.0,
            Stage::Choose(node) => node.0,
        }
    }
}

impl<'t> LayerStage<'t> {
    /// The layer.
    pub fn expr(self) -> Option<Expr<'t>> {
        child(self.0, Expr::cast)
    }
}

macro_rules! stage_with_body {
    ($($name:ident),*) => {$(
        impl<'t> $name<'t> {
            /// Its body.
            pub fn body(self) -> Option<Body<'t>> {
                child(self.0, Body::cast)
            }
        }
    )*};
}
stage_with_body!(Group, Repeat, For, Branch, Choose);

impl<'t> Repeat<'t> {
    /// How often.
    pub fn count(self) -> Option<Expr<'t>> {
        child(self.0, Expr::cast)
    }
}

impl<'t> For<'t> {
    /// The names it binds.
    pub fn targets(self) -> Option<Targets<'t>> {
        child(self.0, Targets::cast)
    }

    /// The list.
    pub fn list(self) -> Option<Expr<'t>> {
        child(self.0, Expr::cast)
    }
}

impl<'t> Targets<'t> {
    /// One or several.
    pub fn targets(self) -> impl Iterator<Item = Target<'t>> {
        self.0.children().filter_map(Target::cast)
    }
}

impl<'t> Target<'t> {
    /// The name, if it is one.
    pub fn name(self) -> Option<SyntaxToken<'t>> {
        self.0.token(Kind::Name)
    }

    /// The names in parentheses.
    pub fn nested(self) -> Option<Targets<'t>> {
        child(self.0, Targets::cast)
    }
}

impl<'t> If<'t> {
    /// Its branches, in order.
    pub fn branches(self) -> impl Iterator<Item = Branch<'t>> {
        self.0.children().filter_map(Branch::cast)
    }
}

impl<'t> Branch<'t> {
    /// Its condition; none after a plain `else`.
    pub fn condition(self) -> Option<Expr<'t>> {
        child(self.0, Expr::cast)
    }

    /// Whether it is an `else` without a condition.
    pub fn is_else(self) -> bool {
        self.0.token(Kind::IfKw).is_none()
    }
}

impl<'t> Choose<'t> {
    /// How many experts a token passes.
    pub fn chosen(self) -> Option<Expr<'t>> {
        exprs(self.0).next()
    }

    /// How many there are.
    pub fn experts(self) -> Option<Expr<'t>> {
        exprs(self.0).nth(1)
    }

    /// Whether their parameters are stacked in one tensor each.
    pub fn is_stacked(self) -> bool {
        self.0
            .tokens()
            .filter(|token| token.kind() == Kind::Name)
            .any(|token| token.text() == "stacked")
    }
}

impl<'t> Shape<'t> {
    /// Its dtype.
    pub fn dtype(self) -> Option<Dtype<'t>> {
        child(self.0, Dtype::cast)
    }

    /// Its dimensions.
    pub fn pattern(self) -> Option<Pattern<'t>> {
        child(self.0, Pattern::cast)
    }
}

impl<'t> Pattern<'t> {
    /// Its dimensions.
    pub fn dims(self) -> impl Iterator<Item = Dim<'t>> {
        self.0.children().filter_map(Dim::cast)
    }

    /// Whether a part of it could not be read.
    pub fn is_broken(self) -> bool {
        is_broken(self.0)
    }
}

/// A dimension of a pattern.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dim<'t> {
    /// `...`
    Rest(SyntaxNode<'t>),
    /// `_`
    Any(SyntaxNode<'t>),
    /// `N = 1`
    Default {
        /// The name.
        name: SyntaxToken<'t>,
        /// The size shown.
        value: Option<Expr<'t>>,
        /// The whole dimension.
        node: SyntaxNode<'t>,
    },
    /// A name or an expression.
    Expr(Expr<'t>),
}

impl<'t> Dim<'t> {
    fn cast(node: SyntaxNode<'t>) -> Option<Dim<'t>> {
        match node.kind() {
            Kind::DimRest => Some(Dim::Rest(node)),
            Kind::DimAny => Some(Dim::Any(node)),
            Kind::DimDefault => {
                let name = node.token(Kind::Name)?;
                Some(Dim::Default { name, value: child(node, Expr::cast), node })
            }
            Kind::Dim => child(node, Expr::cast).map(Dim::Expr),
            _ => None,
        }
    }

    /// Where it stands.
    pub fn range(self) -> TextRange {
        match self {
            Dim::Rest(node) | Dim::Any(node) | Dim::Default { node, .. } => node.range(),
            Dim::Expr(expr) => expr.range(),
        }
    }
}

/// An expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expr<'t>(SyntaxNode<'t>);

impl<'t> Expr<'t> {
    /// Whether a part of it could not be read.
    pub fn is_broken(self) -> bool {
        is_broken(self.0)
    }

    /// The node, if it is an expression.
    pub fn cast(node: SyntaxNode<'t>) -> Option<Expr<'t>> {
        node.kind().is_expr().then_some(Expr(node))
    }

    /// The node in the tree.
    pub fn syntax(self) -> SyntaxNode<'t> {
        self.0
    }

    /// Its number in the tree.
    pub fn id(self) -> NodeId {
        self.0.id()
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.0.kind()
    }

    /// Where it stands.
    pub fn range(self) -> TextRange {
        self.0.range()
    }

    /// Its text.
    pub fn text(self) -> &'t str {
        self.0.text()
    }

    /// The operands of an operator, the items of a list, the value in parentheses or before the
    /// suffixes of a postfix expression, the holes of a string.
    pub fn operands(self) -> impl Iterator<Item = Expr<'t>> {
        exprs(self.0)
    }

    /// The first operand.
    pub fn operand(self) -> Option<Expr<'t>> {
        self.operands().next()
    }

    /// The token of a literal or a name.
    pub fn literal(self) -> Option<SyntaxToken<'t>> {
        self.0.first_token()
    }

    /// The operators between the operands; `not in` gives its `not`.
    pub fn operators(self) -> impl Iterator<Item = SyntaxToken<'t>> {
        let mut after_not = false;
        self.0.tokens().filter(move |token| {
            let second = after_not && token.kind() == Kind::InKw;
            after_not = token.kind() == Kind::NotKw;
            !second
        })
    }

    /// What follows the value of a postfix expression.
    pub fn suffixes(self) -> impl Iterator<Item = Suffix<'t>> {
        self.0.children().filter_map(Suffix::cast)
    }

    /// The name, if it is nothing else.
    pub fn as_name(self) -> Option<SyntaxToken<'t>> {
        (self.kind() == Kind::NameExpr).then(|| self.literal()).flatten()
    }

    /// The texts between the holes of a string that computes, without quotes and braces, escapes
    /// as written.
    pub fn fragments(self) -> impl Iterator<Item = &'t str> {
        self.0.tokens().map(|token| &token.text()[1..token.text().len() - 1])
    }
}

/// What may follow a value.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)] // Each holds the node of its name.
pub enum Suffix<'t> {
    Field(Field<'t>),
    Call(Call<'t>),
    Index(Index<'t>),
}

impl<'t> Suffix<'t> {
    fn cast(node: SyntaxNode<'t>) -> Option<Suffix<'t>> {
        let field = Field::cast(node).map(Suffix::Field);
        field
            .or_else(|| Call::cast(node).map(Suffix::Call))
            .or_else(|| Index::cast(node).map(Suffix::Index))
    }

    /// The call, if it is one.
    pub fn as_call(self) -> Option<Call<'t>> {
        match self {
            Suffix::Call(call) => Some(call),
            _ => None,
        }
    }

    /// The node in the tree.
    pub fn syntax(self) -> SyntaxNode<'t> {
        match self {
            Suffix::Field(node) => node.0,
            Suffix::Call(node) => node.0,
            Suffix::Index(node) => node.0,
        }
    }
}

impl<'t> Field<'t> {
    /// The token after the dot.
    pub fn name(self) -> Option<SyntaxToken<'t>> {
        self.0.tokens().nth(1)
    }
}

impl<'t> Call<'t> {
    /// Its arguments.
    pub fn arguments(self) -> impl Iterator<Item = Argument<'t>> {
        self.0.children().filter_map(Argument::cast)
    }
}

impl Call<'_> {
    /// Whether a part of it could not be read.
    pub fn is_broken(self) -> bool {
        is_broken(self.0)
    }
}

impl<'t> Argument<'t> {
    /// The name before `=`.
    pub fn name(self) -> Option<SyntaxToken<'t>> {
        self.0.token(Kind::Equal)?;
        self.0.token(Kind::Name)
    }

    /// The value.
    pub fn value(self) -> Option<Expr<'t>> {
        child(self.0, Expr::cast)
    }

    /// The text that goes with the argument if it goes: its comma, or the parentheses if it is the only one.
    pub fn with_separator(self) -> Option<TextRange> {
        let call = self.0.parent().and_then(Call::cast)?;
        let own = self.0.range();
        let others = || call.arguments().map(|other| other.0.range());
        let next = others().find(|other| other.start() >= own.end());
        let before = others().filter(|other| other.end() <= own.start()).last();
        Some(match (next, before) {
            (Some(next), _) => TextRange::new(own.start(), next.start()),
            (None, Some(before)) => TextRange::new(before.end(), own.end()),
            (None, None) => call.0.range(),
        })
    }
}

/// One item of an index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum IndexItem<'t> {
    /// `...`
    Ellipsis(SyntaxNode<'t>),
    /// `a:b:c`
    Slice(Slice<'t>),
    /// `i`, `none` or a tensor.
    At(Expr<'t>),
}

impl<'t> Index<'t> {
    /// Its items.
    pub fn items(self) -> impl Iterator<Item = IndexItem<'t>> {
        self.0.children().filter_map(|node| match node.kind() {
            Kind::EllipsisExpr => Some(IndexItem::Ellipsis(node)),
            Kind::Slice => Some(IndexItem::Slice(Slice(node))),
            _ => Expr::cast(node).map(IndexItem::At),
        })
    }
}

impl<'t> Slice<'t> {
    /// Its start, end and step, as far as they are given.
    pub fn parts(self) -> [Option<Expr<'t>>; 3] {
        let mut parts = [None; 3];
        let mut at = 0;
        for element in self.0.elements() {
            match element {
                crate::Element::Node(node) if at < 3 => parts[at] = Expr::cast(node),
                crate::Element::Token(token) if token.kind() == Kind::Colon => at += 1,
                _ => {}
            }
        }
        parts
    }
}
