//! What PostgreSQL makes of our statements, with the settings of our sessions and without statistics.

use crate::migrate::POSTGRES;
use crate::query::{Holds, every};

#[path = "../../tests/support/cluster.rs"]
#[allow(dead_code, reason = "the tests of the crate use the rest")]
mod cluster;

/// No list walks over a table or sorts: each follows an index from where the page begins.
#[tokio::test]
async fn every_list_of_postgresql_follows_an_index() {
    let url = cluster::shared().database().await;
    let client = cluster::connect(&url).await;
    for migration in POSTGRES {
        client.batch_execute(migration.sql).await.unwrap();
    }
    client.batch_execute(super::session::SETTINGS).await.unwrap();
    for query in every::searches(Holds::Position)
        .into_iter()
        .chain(every::others(&["txn", "seq"], Holds::Position))
    {
        let sql = query.numbered();
        client.batch_execute(&format!("prepare wanted as {sql}")).await.unwrap();
        let nulls = vec!["null"; query.values.len()].join(", ");
        let lines = client
            .query(&format!("explain (costs off) execute wanted({nulls})"), &[])
            .await
            .unwrap();
        let plan: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
        let plan = plan.join("\n");
        assert!(!plan.contains("Seq Scan") && !plan.contains("Sort"), "{sql}\n{plan}");
        client.batch_execute("deallocate wanted").await.unwrap();
    }
}
