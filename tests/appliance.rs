//! The appliance as a whole, with its real parts: MongoDB, OpenSSH and the daemon.
//!
//! A part that is missing is a failure, never a skip.

mod archives;
mod browser;
mod chromium;
mod cloud;
mod crash;
mod damage;
mod deletion;
mod health;
mod intake;
mod layers;
mod log;
mod maaiiconnect;
mod media;
mod portal;
mod receipts;
mod room;
mod service;
mod settings;
mod setup;
mod trouble;
mod uploads;
mod weeks;
#[allow(dead_code, reason = "the demonstration uses other parts of it")]
mod world;
