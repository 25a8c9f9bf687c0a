//! The package under test.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};

use crate::{place::Place, process};

/// A script of this repository.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs a script of this repository and returns the one line that it prints. What it says
/// meanwhile is for whoever watches the tests.
pub(crate) fn ask(name: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(script(name));
    let printed = process::output(command.args(arguments).stderr(Stdio::inherit()))?;
    Ok(printed.trim().to_owned())
}

/// The package as bytes: what the environment variable `RETENTION_DEB` names, else what
/// `packaging/build-deb` makes, once for all tests.
pub(crate) fn bytes() -> Result<Vec<u8>> {
    static BUILT: Mutex<Option<Vec<u8>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = &*built {
        return Ok(bytes.clone());
    }
    let bytes = match env::var_os("RETENTION_DEB") {
        Some(file) => fs::read(&file).with_context(|| file.display().to_string())?,
        None => build()?,
    };
    Ok(built.insert(bytes).clone())
}

/// The same package under another version, as if it were another one.
pub(crate) fn numbered(version: &str) -> Result<Vec<u8>> {
    let place = Place::new()?;
    let (file, contents) = (place.file("package.deb"), place.file("contents"));
    fs::write(&file, bytes()?)?;
    process::output(Command::new("dpkg-deb").arg("--raw-extract").arg(&file).arg(&contents))?;
    let shown = process::output(Command::new("dpkg-deb").arg("--field").arg(&file).arg("Version"))?;
    let own = shown.trim();
    for name in ["control", "preinst"] {
        let part = contents.join("DEBIAN").join(name);
        let text = fs::read_to_string(&part)?;
        ensure!(text.contains(own), "{name} does not name the version {own}");
        fs::write(part, text.replace(own, version))?;
    }
    let build = ["--root-owner-group", "-Znone", "--build"];
    process::output(Command::new("dpkg-deb").args(build).arg(&contents).arg(&file))?;
    Ok(fs::read(file)?)
}

fn build() -> Result<Vec<u8>> {
    let place = Place::new()?;
    let directory = place.file("deb");
    let mut command = Command::new(script("packaging/build-deb"));
    process::output(command.arg("--out").arg(&directory).stderr(Stdio::inherit()))?;
    let mut packages = Vec::new();
    for entry in fs::read_dir(&directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "deb") {
            packages.push(path);
        }
    }
    ensure!(packages.len() == 1, "packaging/build-deb made {packages:?}");
    Ok(fs::read(&packages[0])?)
}
