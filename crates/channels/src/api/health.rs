//! How a webhook endpoint does, in words of the API.

use florin_services::directory::Endpoint;
use florin_services::notify::health::{self, Health, Standing};
use serde::Serialize;
use utoipa::ToSchema;

use super::shapes::rfc3339;
use crate::Doors;
use crate::problem::Problem;

/// In a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthWord {
    /// It was told nothing yet.
    Untried,
    /// It took what it was told last.
    Healthy,
    /// It did not take what it was told last.
    Failing,
    /// It has taken nothing for an hour, and something waits for it.
    Sick,
    /// It is switched off.
    Off,
}

/// How an endpoint does, by its newest deliveries.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HealthShape {
    /// In a word.
    pub status: HealthWord,
    /// Since when every try has failed.
    #[schema(required)]
    pub failing_since: Option<String>,
    /// Tries that failed since then, among the newest deliveries.
    pub failures: u32,
    /// When it took something last, among the newest deliveries.
    #[schema(required)]
    pub last_success_at: Option<String>,
    /// Why the last try failed, if it did.
    #[schema(required)]
    pub last_error: Option<String>,
    /// Deliveries that wait for it, counted up to 200.
    pub pending: u32,
}

impl HealthShape {
    /// Looks at an endpoint's deliveries.
    pub(super) async fn of(endpoint: &Endpoint, doors: &Doors) -> Result<Self, Problem> {
        let health = health::of(&*doors.store, endpoint, doors.directory.now()).await?;
        Ok(Self::from(health))
    }
}

impl From<Health> for HealthShape {
    fn from(health: Health) -> Self {
        Self {
            status: match health.standing {
                Standing::Untried => HealthWord::Untried,
                Standing::Healthy => HealthWord::Healthy,
                Standing::Failing => HealthWord::Failing,
                Standing::Sick => HealthWord::Sick,
                Standing::Off => HealthWord::Off,
            },
            failing_since: health.failing_since.map(rfc3339),
            failures: health.failures,
            last_success_at: health.last_success.map(rfc3339),
            last_error: health.last_error,
            pending: health.pending,
        }
    }
}
