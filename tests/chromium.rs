//! The administrator's browser: Chromium, driven through chromedriver as WebDriver has it.
//!
//! It shows what the portal sends, with its scripts and its style, and presses what a person would
//! press. The portal's certificate is signed by nobody that it knows, so it is told to go on.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::world::{
    World,
    process::{self, Process},
};

/// How long chromedriver may take to answer.
const START: Duration = Duration::from_secs(30);

/// How long a page may take until it says what it is to say.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a page.
const GLANCE: Duration = Duration::from_millis(100);

/// A browser with one window.
pub(crate) struct Chromium {
    client: Client,
    portal: String,
    downloads: PathBuf,
    driver: Process,
}

impl Chromium {
    /// Starts a browser for the portal of a world. Nobody has signed in.
    pub(crate) async fn start(world: &World) -> Result<Self> {
        let home = world.directory().join("chromium");
        let downloads = home.join("downloads");
        fs::create_dir_all(&downloads)?;
        fs::set_permissions(&home, Permissions::from_mode(0o700))?;
        let port = process::free_port()?;
        let log = world.directory().join("logs/chromedriver.log");
        let program = Path::new("chromedriver");
        let mut driver = Process::start("chromedriver", program, &log, |command| {
            command.arg(format!("--port={port}")).env("HOME", &home).env("TMPDIR", &home);
        })?;
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--window-size=1280,1000",
            // It ends with chromedriver, whatever ends that.
            "--remote-debugging-pipe",
        ];
        let wanted = json!({
            "acceptInsecureCerts": true,
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": {
                    "download.default_directory": downloads,
                    "download.prompt_for_download": false,
                },
            },
        });
        let wanted = wanted.as_object().context("an object")?;
        let address = format!("http://127.0.0.1:{port}");
        let deadline = Instant::now() + START;
        let client = loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match builder.capabilities(wanted.clone()).connect(&address).await {
                Ok(client) => break client,
                Err(error) if Instant::now() > deadline => {
                    let said = driver.last_words();
                    return Err(error).context(format!("no browser; chromedriver said: {said}"));
                }
                Err(_) => driver.still_runs()?,
            }
            tokio::time::sleep(GLANCE).await;
        };
        let portal = world.portal_url().trim_end_matches('/').to_owned();
        Ok(Self { client, portal, downloads, driver })
    }

    /// Ends the browser, and then whatever a test came to.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.client.close().await?;
        self.driver.signal(nix::sys::signal::Signal::SIGTERM);
        self.driver.wait(START).await.map(drop)
    }

    /// Opens a page of the portal.
    pub(crate) async fn open(&self, path: &str) -> Result<()> {
        let address = format!("{}{path}", self.portal);
        self.client.goto(&address).await.with_context(|| format!("cannot open {path}"))
    }

    /// Which page it shows.
    pub(crate) async fn path(&self) -> Result<String> {
        Ok(self.client.current_url().await?.path().to_owned())
    }

    /// What can be read on the page.
    pub(crate) async fn text(&self) -> Result<String> {
        self.text_of("body").await
    }

    /// What can be read of what a selector finds. Asked in one go, for a page may be loaded again
    /// by its script at any time.
    pub(crate) async fn text_of(&self, selector: &str) -> Result<String> {
        let script = "const found = document.querySelector(arguments[0]); \
                      return found ? found.innerText : null;";
        let text = self.client.execute(script, vec![selector.into()]).await?;
        let text = text.as_str().map(str::to_owned);
        text.with_context(|| format!("{selector} is not on the page"))
    }

    /// The page as it was sent, and as scripts have changed it.
    pub(crate) async fn source(&self) -> Result<String> {
        Ok(self.client.source().await?)
    }

    /// Makes sure that the page says all of this.
    pub(crate) async fn says(&self, parts: &[&str]) -> Result<()> {
        let text = self.text().await?;
        for part in parts {
            let path = self.path().await?;
            ensure!(text.contains(part), "{path} does not say {part:?}:\n{text}");
        }
        Ok(())
    }

    /// Waits until the page says this by itself.
    pub(crate) async fn comes_to_say(&self, part: &str) -> Result<()> {
        self.waits_for(part, None).await
    }

    /// Opens a page again and again until it says this.
    pub(crate) async fn finds(&self, path: &str, part: &str) -> Result<()> {
        self.waits_for(part, Some(path)).await
    }

    async fn waits_for(&self, part: &str, path: Option<&str>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(path) = path {
                self.open(path).await?;
            }
            // A page that is just being loaded has no body yet, or another one.
            let text = self.text().await.unwrap_or_default();
            if text.contains(part) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} never said {part:?}; it says:\n{text}", self.path().await?);
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// What a selector finds, which has to be there.
    pub(crate) async fn find(&self, selector: &str) -> Result<Element> {
        let found = self.client.find(Locator::Css(selector)).await;
        match found {
            Ok(element) => Ok(element),
            Err(error) => {
                let path = self.path().await?;
                Err(error).context(format!("{selector} is not on {path}"))
            }
        }
    }

    /// How many elements a selector finds.
    pub(crate) async fn count(&self, selector: &str) -> Result<usize> {
        Ok(self.client.find_all(Locator::Css(selector)).await?.len())
    }

    /// Writes into a field, in the place of what it has.
    pub(crate) async fn fill(&self, name: &str, text: &str) -> Result<()> {
        let field = self.find(&format!("main [name='{name}']")).await?;
        field.clear().await?;
        Ok(field.send_keys(text).await?)
    }

    /// Chooses from a list, or ticks one of several.
    pub(crate) async fn choose(&self, name: &str, value: &str) -> Result<()> {
        let field = self.find(&format!("main [name='{name}']")).await?;
        if field.tag_name().await? == "select" {
            return Ok(field.select_by_value(value).await?);
        }
        let choice = self.find(&format!("main [name='{name}'][value='{value}']")).await?;
        Ok(choice.click().await?)
    }

    /// Ticks a box, or takes the tick away.
    pub(crate) async fn tick(&self, name: &str, wanted: bool) -> Result<()> {
        let field = self.find(&format!("main [name='{name}'][type='checkbox']")).await?;
        if field.is_selected().await? != wanted {
            field.click().await?;
        }
        Ok(())
    }

    /// Presses the button or the link with these words, and waits for the page that it leads to.
    pub(crate) async fn press(&self, words: &str) -> Result<()> {
        self.lead_on(Locator::XPath(&labelled(words))).await
    }

    /// Presses what a selector finds, and waits for the page that it leads to.
    pub(crate) async fn click(&self, selector: &str) -> Result<()> {
        self.lead_on(Locator::Css(selector)).await
    }

    /// Presses what a selector finds and opens a window of its own, and goes on in that.
    pub(crate) async fn click_aside(&self, selector: &str) -> Result<()> {
        let known = self.client.windows().await?;
        self.click_at(Locator::Css(selector)).await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let windows = self.client.windows().await?;
            if let Some(new) = windows.into_iter().find(|window| !known.contains(window)) {
                return Ok(self.client.switch_to_window(new).await?);
            }
            ensure!(Instant::now() < deadline, "{selector} opens no window");
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Closes this window, and goes on in the first one.
    pub(crate) async fn close_aside(&self) -> Result<()> {
        self.client.close_window().await?;
        let first = self.client.windows().await?.into_iter().next().context("a window")?;
        Ok(self.client.switch_to_window(first).await?)
    }

    async fn lead_on(&self, place: Locator<'_>) -> Result<()> {
        // Only the page that is there now has the mark.
        self.script("window.isLeft = true").await?;
        self.click_at(place).await?;
        let deadline = Instant::now() + PATIENCE;
        let script = "return !window.isLeft && document.readyState === 'complete'";
        // Between two pages there is nothing to ask.
        while !self.script(script).await.is_ok_and(|there| there == true) {
            ensure!(Instant::now() < deadline, "{place:?} leads nowhere:\n{}", self.text().await?);
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }

    async fn click_at(&self, place: Locator<'_>) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let clicked = match self.client.find(place).await {
                Ok(found) => found.click().await,
                Err(error) => Err(error),
            };
            match clicked {
                Ok(()) => return Ok(()),
                // It was loaded again between the look and the click.
                Err(error) if error.is_stale_element_reference() && Instant::now() < deadline => {}
                Err(error) => {
                    let (path, text) = (self.path().await?, self.text().await?);
                    return Err(error).context(format!("{place:?} is not on {path}:\n{text}"));
                }
            }
        }
    }

    /// Signs in as a person does.
    pub(crate) async fn sign_in(&self, name: &str, password: &str) -> Result<()> {
        self.open("/sign-in").await?;
        self.find("[name='name']").await?.send_keys(name).await?;
        self.find("[name='password']").await?.send_keys(password).await?;
        self.click("form button").await?;
        ensure!(self.path().await? != "/sign-in", "{name} cannot sign in:\n{}", self.text().await?);
        Ok(())
    }

    /// What a script returns.
    pub(crate) async fn script(&self, script: &str) -> Result<Value> {
        Ok(self.client.execute(script, Vec::new()).await?)
    }

    /// Presses a link with these words that downloads, and returns what came.
    pub(crate) async fn download(&self, words: &str) -> Result<PathBuf> {
        let known = self.downloaded()?;
        self.click_at(Locator::XPath(&labelled(words))).await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let new = self.downloaded()?.into_iter().find(|file| !known.contains(file));
            if let Some(file) = new {
                return Ok(file);
            }
            ensure!(Instant::now() < deadline, "nothing was downloaded");
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// What was downloaded whole.
    fn downloaded(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.downloads)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !name.ends_with(".crdownload") && !name.starts_with('.') {
                files.push(path);
            }
        }
        Ok(files)
    }
}

/// The place of a button or a link with these words.
fn labelled(words: &str) -> String {
    let words = format!("normalize-space()=\"{words}\"");
    format!("//main//button[{words}] | //main//a[{words}]")
}
