//! The prices in force: the built-in table, or a file that is followed.

use std::{path::Path, sync::Arc};

use super::Prices;
use crate::file_watcher::{Contents, FileWatcher};

/// The prices in force.
#[derive(Debug, Clone)]
pub struct PriceList(Source);

#[derive(Debug, Clone)]
enum Source {
    Fixed(Arc<Prices>),
    File(Arc<FileWatcher<Prices>>),
}

impl PriceList {
    /// Returns the table that was current at the time of this release.
    pub fn built_in() -> PriceList {
        Prices::built_in().into()
    }

    /// Reads the prices from a file.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the file.
    pub fn read(file: &Path) -> Result<PriceList, String> {
        let watcher = FileWatcher::read(vec![file.to_owned()], parse)?;
        Ok(PriceList(Source::File(Arc::new(watcher))))
    }

    /// Returns the current table.
    pub(crate) fn current(&self) -> Arc<Prices> {
        match &self.0 {
            Source::Fixed(prices) => prices.clone(),
            Source::File(watcher) => watcher.current(),
        }
    }

    /// Follows the file, if there is one.
    pub(crate) async fn follow(&self) {
        if let Source::File(watcher) = &self.0 {
            watcher.follow().await;
        }
    }
}

impl From<Prices> for PriceList {
    fn from(prices: Prices) -> PriceList {
        PriceList(Source::Fixed(Arc::new(prices)))
    }
}

fn parse(contents: &[Contents]) -> Result<Prices, String> {
    let json = contents.first().map_or(&[][..], |content| content);
    Prices::parse(json).map_err(|problem| format!("the prices: {problem}"))
}
