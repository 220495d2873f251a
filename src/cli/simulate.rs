//! PLACEHOLDER
use super::failure::Failure;
use std::process::ExitCode;
pub(super) const EXAMPLES: &str = "Examples:";
/// x
#[derive(Debug, clap::Args)]
pub(super) struct SimulateArgs {}
impl SimulateArgs {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        Ok(ExitCode::SUCCESS)
    }
}
