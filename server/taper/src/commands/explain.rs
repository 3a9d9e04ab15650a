//! `taper explain`: what a diagnostic means.

use std::process::ExitCode;

use analysis::Code;
use clap::Args;

#[derive(Args)]
pub struct Arguments {
    /// The code of the diagnostic, such as T0103; all of them unless given.
    code: Option<String>,
}

pub fn run(arguments: &Arguments) -> super::Result {
    let Some(number) = &arguments.code else {
        for code in Code::ALL {
            anstream::println!("{code}  {}", code.title());
        }
        return Ok(ExitCode::SUCCESS);
    };
    let Some(code) = Code::parse(number) else {
        return Err(format!("there is no diagnostic `{number}`; `taper explain` lists them").into());
    };
    anstream::println!(
        "{code}: {}\n\n{}",
        code.title(),
        code.explanation().replace("```taper,error", "```").replace("```taper,hint", "```")
    );
    Ok(ExitCode::SUCCESS)
}
