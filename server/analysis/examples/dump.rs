use std::ops::ControlFlow;
fn main() {
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).unwrap();
        let t = std::time::Instant::now();
        let mut ws = analysis::Workspace::default();
        let f = ws.insert(&path, syntax::parse(&text));
        let set = std::env::var("SET").unwrap_or_default();
        let set = set
            .split_whitespace()
            .map(|kv| {
                let (k, v) = kv.split_once("=").unwrap();
                (k.to_owned(), v.to_owned())
            })
            .collect();
        let a = analysis::analyse(&ws, f, &analysis::Options { set, dtype: None });
        println!("== {path} {:?}", t.elapsed());
        for d in &a.diagnostics {
            let (s, e): (usize, usize) = (d.place.range.start().into(), d.place.range.end().into());
            println!(
                "  {} {:?} {:?}: {}",
                d.code,
                d.severity,
                &text[s..e.min(text.len())].lines().next(),
                d.message
            );
            for (p, m) in &d.related {
                println!("      {:?} {m}", p.range);
            }
        }
        for m in &a.models {
            println!("  {} {:?}\n  peak {}", m.name, m.totals(), m.peak_activation_bytes());
            let mut n = 0;
            m.rows(|row| {
                n += 1;
                if n < std::env::var("ROWS").ok().and_then(|r| r.parse().ok()).unwrap_or(12) {
                    println!(
                        "    {} {} {:?} {}",
                        row.path,
                        row.step.kind(),
                        row.step
                            .outputs
                            .iter()
                            .enumerate()
                            .map(|(i, _)| m
                                .output_dims(row.step, i)
                                .iter()
                                .map(|d| d.to_string())
                                .collect::<Vec<_>>()
                                .join(","))
                            .collect::<Vec<_>>(),
                        row.step.totals.params
                    );
                }
                ControlFlow::Continue(())
            });
            println!("    {n} rows");
        }
    }
}
