//! How the appliance is: for everybody who is signed in, and for programs that watch it. It names
//! backups, and no person.

use std::sync::Arc;

use super::permit::{Administrator, Probe, SignedIn};
use crate::{
    alerts::trial::{self, Outcome},
    audit::Action,
    health::{Report, watch},
    portal::{
        chart::{Chart, chart},
        errors::Error,
        request::Request,
    },
};

/// After how many missed looks a report counts for nothing.
const MISSED_LOOKS: u64 = 3;

impl Probe {
    /// The newest report, unless it is so old that it says nothing of now.
    pub(in crate::portal) fn report(&self, request: &Request) -> Option<Arc<Report>> {
        let report = self.gate.report()?;
        let age = request.now().duration_since(report.at).as_secs();
        // A look itself takes some seconds when something does not answer.
        let limit = self.gate.look_seconds.saturating_mul(MISSED_LOOKS).saturating_add(30);
        (age <= i64::try_from(limit).unwrap_or(i64::MAX)).then_some(report)
    }
}

impl SignedIn {
    /// The newest report; nothing before the first look has ended.
    pub(in crate::portal) async fn health(
        &self,
        request: &Request,
    ) -> Result<Option<Arc<Report>>, Error> {
        self.write_down(request, Action::View, "/health", None).await?;
        Ok(self.gate.report())
    }

    /// What was measured in the last 30 days.
    pub(in crate::portal) fn charts(&self, request: &Request) -> Vec<Chart> {
        let history = watch::lock(&self.gate.watched.history);
        let now = request.now().as_second();
        history.names().filter_map(|name| chart(name, history.series(name), now)).collect()
    }
}

impl Administrator {
    /// Sends a test by every way that alerts go.
    pub(in crate::portal) async fn try_alerts(
        &self,
        request: &Request,
    ) -> Result<Vec<Outcome>, Error> {
        self.who.write_down(request, Action::View, "/health/test", None).await?;
        Ok(trial::trial(&self.who.gate.watched.alerts, request.now()).await)
    }
}
