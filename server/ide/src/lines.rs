//! Which steps stand on which line of the text.

use analysis::{FileId, Model, NodeRef, Step, Totals, Use, What};
use layers::Unit;
use syntax::{Kind, SyntaxNode, TextRange, TextSize, ast};

use crate::Snapshot;

/// What one line of the text does: the stages of a step that end there.
pub(crate) struct StepLine<'s> {
    /// Where a hint stands: after the last stage of the line, or after the brace that opens.
    pub end: TextSize,
    /// The step's node.
    pub node: NodeRef,
    pub model: &'s Model,
    /// For each stage on this line its uses, the first one first.
    pub stages: Vec<&'s [Use]>,
}

impl<'s> StepLine<'s> {
    /// The last stage's first use, whose output the line gives.
    pub fn last(&self) -> &'s Step {
        &self.stages[self.stages.len() - 1][0].step
    }

    /// Sums over all stages of the line, for one use.
    pub fn once(&self) -> Figures {
        self.stages.iter().fold(Figures::default(), |sum, uses| sum.plus(&uses[0].totals(), 1))
    }

    /// Sums over all uses.
    pub fn all(&self) -> Figures {
        let uses = self.stages.iter().flat_map(|uses| uses.iter());
        uses.fold(Figures::default(), |sum, one| sum.plus(&one.totals(), one.times))
    }

    /// The largest share of its model's FLOPs, parameters or activations that all uses have.
    pub fn largest_share(&self) -> f64 {
        let (all, totals) = (self.all(), self.model.totals());
        let share = |part: u128, whole: u128| match whole {
            0 => 0.0,
            _ => part as f64 / whole as f64,
        };
        share(all.flops, totals.flops)
            .max(share(all.params, totals.params))
            .max(share(all.activation_bytes, totals.activation_bytes))
    }

    /// Sums over all uses of what no other line of this file does: what groups and blocks hold has
    /// lines of its own.
    pub fn own(&self, file: FileId) -> Figures {
        let is_own = |uses: &&&[Use]| match &uses[0].step.what {
            What::Part(part) => part.item.file != file,
            What::Group(_) | What::Splice(_) | What::Expert(_) => false,
            What::Layer(_) | What::Declared(_) => true,
        };
        let uses = self.stages.iter().filter(is_own).flat_map(|uses| uses.iter());
        uses.fold(Figures::default(), |sum, one| sum.plus(&one.totals(), one.times))
    }

    /// How often the model does it.
    pub fn times(&self) -> u128 {
        self.stages[0].iter().fold(0, |sum, one| sum.saturating_add(one.times))
    }
}

/// What a line costs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub params: u128,
    pub active_params: u128,
    pub macs: u128,
    pub flops: u128,
    pub activation_bytes: u128,
    /// Blocks whose work is unknown, so that the others' is a least.
    pub uncounted: u128,
}

impl Figures {
    /// The work in a unit.
    pub fn work(self, unit: Unit) -> u128 {
        match unit {
            Unit::Macs => self.macs,
            Unit::Flops => self.flops,
        }
    }

    fn plus(self, totals: &Totals, times: u128) -> Figures {
        let add = |sum: u128, one: u128| sum.saturating_add(one.saturating_mul(times));
        Figures {
            params: add(self.params, totals.params),
            active_params: add(self.active_params, totals.active_params),
            macs: add(self.macs, totals.macs),
            flops: add(self.flops, totals.flops),
            uncounted: add(self.uncounted, totals.uncounted),
            activation_bytes: add(self.activation_bytes, totals.activation_bytes),
        }
    }
}

/// The lines of all steps in a range of the file.
pub(crate) fn step_lines(snapshot: &Snapshot, range: TextRange) -> Vec<StepLine<'_>> {
    let tree = snapshot.parse().tree();
    let steps = tree.nodes().filter(|node| node.kind() == Kind::Step);
    let inside = steps.filter(|step| {
        range.intersect(step.range()).is_some() && !stands_in_line(*step, snapshot.text())
    });
    inside.flat_map(|step| lines_of_step(snapshot, step)).collect()
}

/// Whether a step stands in braces that are on one line with what they belong to.
fn stands_in_line(step: SyntaxNode<'_>, text: &str) -> bool {
    let braces = step.parent().filter(|node| node.kind() == Kind::Body);
    let stage = braces.and_then(SyntaxNode::parent).filter(|node| ast::Item::cast(*node).is_none());
    let in_line =
        |node: SyntaxNode<'_>| !text[std::ops::Range::<usize>::from(node.range())].contains('\n');
    stage.is_some() && braces.is_some_and(in_line)
}

fn lines_of_step<'s>(snapshot: &'s Snapshot, step: SyntaxNode<'s>) -> Vec<StepLine<'s>> {
    let text = snapshot.text();
    let mut lines: Vec<StepLine<'s>> = Vec::new();
    let mut stages = Vec::new();
    collect_stages(step, text, &mut stages);
    for (node, end) in stages {
        let node = snapshot.node(node.id());
        let Some(model) = snapshot.model_of(node) else { continue };
        let uses = model.uses(node);
        let same_line = lines.last_mut().filter(|line| {
            let between = &text[usize::from(line.end.min(end))..usize::from(line.end.max(end))];
            std::ptr::eq(line.model, model) && !between.contains('\n')
        });
        match same_line {
            Some(line) => {
                line.end = end.max(line.end);
                line.stages.push(uses);
            }
            None => {
                let node = snapshot.node(step.id());
                lines.push(StepLine { end, node, model, stages: vec![uses] });
            }
        }
    }
    lines
}

/// The nodes of a step that may have uses, in order of the text, each with the place of its hint.
fn collect_stages<'s>(step: SyntaxNode<'s>, text: &str, out: &mut Vec<(SyntaxNode<'s>, TextSize)>) {
    for child in step.children() {
        match child.kind() {
            Kind::Sources | Kind::LayerStage => collect_exprs(child, child.range().end(), out),
            Kind::Group | Kind::Repeat | Kind::For | Kind::If | Kind::Choose => {
                let body = child.descendants().find_map(ast::Body::cast);
                let brace = body.and_then(|body| body.syntax().first_token());
                let end = brace.map_or(child.range().start(), |brace| brace.range().end());
                let braces = &text[usize::from(end)..usize::from(child.range().end())];
                // Braces on one line have one hint, behind them.
                out.push((child, if braces.contains('\n') { end } else { child.range().end() }));
            }
            _ => {}
        }
    }
}

/// Expressions from the inside out, which is the order in which they are computed.
fn collect_exprs<'s>(
    node: SyntaxNode<'s>,
    end: TextSize,
    out: &mut Vec<(SyntaxNode<'s>, TextSize)>,
) {
    for child in node.children() {
        collect_exprs(child, end, out);
        let computes = ast::Expr::cast(child).is_some()
            || child.kind() == Kind::Index
            || child.kind() == Kind::Field;
        if computes {
            out.push((child, end));
        }
    }
}

/// The shape of a step's outputs, by symbols: `[N, 64]`, or `3 × [B, T, 768]`.
pub(crate) fn outputs(model: &Model, step: &Step) -> Option<String> {
    if let What::Declared(tensor) = &step.what {
        return Some(tensor.shape.to_string());
    }
    if step.outputs.len() == 1 {
        return Some(crate::dims(&model.output_dims(step, 0)));
    }
    let shapes: Vec<String> = (0..step.outputs.len())
        .map(|output| crate::dims(&model.output_dims(step, output)))
        .collect();
    match shapes.as_slice() {
        [] => None,
        [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|shape| shape == first) => {
            Some(format!("{} × {first}", shapes.len()))
        }
        _ => Some(shapes.join(", ")),
    }
}
