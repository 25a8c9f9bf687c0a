//! maaiiconnect's page on Data Retention, sentence by sentence.
//!
//! Whatever it says of settings, Backup Log, Retention Status and deletion has a test here that is
//! named after it and proves it on both sides: `retention-service` as maaiiconnect, the appliance as
//! the customer's server. What it says is not repeated here, only what has to follow from it.
//!
//! Starting both sides takes longest, so the tests share one pair of them ([`stage`]) and come on one
//! after the other. Each brings about what it needs, and leaves settings and plans as they were.

mod deletion;
mod log;
mod settings;
mod stage;
mod status;
