//! Engine, worker, egress, keyring, timers, webhooks: everything that waits.
