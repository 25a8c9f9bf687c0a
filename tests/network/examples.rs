//! The files of `packaging/network`, with the places filled in that an administrator edits.
//!
//! A place is a line that ends in `# EDIT` and maybe more, as in `dpd_delay = 15s   # EDIT`; or,
//! where a line cannot end in a comment, the line below a comment that begins so.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

const MARK: &str = "# EDIT";

/// A file in the making.
pub(crate) struct Example {
    name: String,
    lines: Vec<String>,
    /// The numbers of lines with places nobody has dealt with.
    open: Vec<usize>,
}

impl Example {
    /// The file as it is delivered.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let path = path(name);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let open = (0..lines.len()).filter(|n| is_place(&lines, *n)).collect();
        Ok(Self { name: name.to_owned(), lines, open })
    }

    /// With `value` in the first place for `key` that is still open.
    pub(crate) fn fill(mut self, key: &str, value: &str) -> Result<Self> {
        let n = self.take(key)?;
        let (before, after) = self.lines[n].split_once('=').context("a place has a value")?;
        let gap = if after.starts_with(' ') { " " } else { "" };
        self.lines[n] = format!("{before}={gap}{value}");
        Ok(self)
    }

    /// With the first open place for `key` as it is delivered.
    pub(crate) fn keep(mut self, key: &str) -> Result<Self> {
        self.take(key)?;
        Ok(self)
    }

    /// The file, once no place is open.
    pub(crate) fn text(self) -> Result<String> {
        let open: Vec<_> = self.open.iter().map(|n| &self.lines[*n]).collect();
        ensure!(open.is_empty(), "{}: places that no test knows: {open:#?}", self.name);
        Ok(self.lines.join("\n") + "\n")
    }

    fn take(&mut self, key: &str) -> Result<usize> {
        let place = self.open.iter().position(|n| key_of(&self.lines[*n]) == Some(key));
        let place = place.with_context(|| format!("{} has no place for {key}", self.name))?;
        Ok(self.open.remove(place))
    }
}

/// Where a file of `packaging/network` is.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/network").join(name)
}

fn is_place(lines: &[String], n: usize) -> bool {
    let ends_in_it = key_of(&lines[n]).is_some() && lines[n].contains(MARK);
    let is_below_it = n > 0 && lines[n - 1].trim_start().starts_with(MARK);
    ends_in_it || is_below_it && key_of(&lines[n]).is_some()
}

/// The key of a setting; of `define NAME = …` it is the name.
fn key_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return None;
    }
    line.split_once('=')?.0.split_whitespace().last()
}
