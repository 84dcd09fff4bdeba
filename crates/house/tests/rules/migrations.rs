use crate::{accepts, finds};
use florin_house::migrations::{check, check_levels};
use florin_house::{expect_none, repository};

#[test]
fn migrations_only_add() {
    let files = repository::files("crates/store/migrations", &[".sql"]);
    if files.is_empty() {
        repository::say_absent("crates/store/migrations");
    }
    let findings: Vec<_> = files.iter().flat_map(|(path, sql)| check(path, sql)).collect();
    expect_none(&findings);
    let paths: Vec<String> = files.into_iter().map(|(path, _)| path).collect();
    expect_none(&check_levels(&paths));
    for database in ["sqlite", "postgres"] {
        if !paths.iter().any(|path| path.contains(&format!("/{database}/"))) {
            repository::say_absent(&format!("crates/store/migrations/{database}"));
        }
    }
}

#[test]
fn a_rename_is_found() {
    finds(
        &check("m.sql", "ALTER TABLE orders RENAME COLUMN amount TO total;"),
        "RENAME",
    );
    finds(&check("m.sql", "alter table orders\n  rename to sales;"), "m.sql:1");
}

#[test]
fn a_drop_is_found_and_an_index_may_go() {
    finds(
        &check("m.sql", "CREATE TABLE a (b INT);\n\nDROP TABLE orders;"),
        "m.sql:3: DROP … TABLE",
    );
    finds(
        &check("m.sql", "ALTER TABLE orders DROP COLUMN amount;"),
        "DROP … COLUMN",
    );
    finds(
        &check("m.sql", "ALTER TABLE orders DROP CONSTRAINT once;"),
        "DROP … CONSTRAINT",
    );
    accepts(&check("m.sql", "DROP INDEX orders_by_day;"));
}

#[test]
fn a_column_that_old_code_does_not_fill_is_found() {
    finds(
        &check("m.sql", "ALTER TABLE orders ADD COLUMN note TEXT NOT NULL;"),
        "without DEFAULT",
    );
    finds(
        &check(
            "m.sql",
            "ALTER TABLE orders ADD COLUMN a INT NOT NULL DEFAULT 0, ADD COLUMN b INT NOT NULL;",
        ),
        "without DEFAULT",
    );
    finds(
        &check("m.sql", "ALTER TABLE orders ALTER COLUMN note SET NOT NULL;"),
        "SET … NOT … NULL",
    );
    accepts(&check(
        "m.sql",
        "ALTER TABLE orders ADD COLUMN note TEXT NOT NULL DEFAULT '';",
    ));
    accepts(&check(
        "m.sql",
        "CREATE TABLE notes (id TEXT NOT NULL, note TEXT NOT NULL);",
    ));
}

#[test]
fn comments_and_quoted_text_are_no_statements() {
    accepts(&check(
        "m.sql",
        "-- DROP TABLE orders;\nINSERT INTO notes VALUES ('DROP TABLE orders;');",
    ));
}

#[test]
fn a_level_that_is_missing_or_there_twice_is_found() {
    let levels = |names: &[&str]| check_levels(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    accepts(&levels(&[
        "m/sqlite/0002_b.sql",
        "m/sqlite/0001_a.sql",
        "m/postgres/0001_a.sql",
    ]));
    finds(
        &levels(&["m/sqlite/0001_a.sql", "m/sqlite/0003_c.sql"]),
        "0003_c.sql:0: level 3 stands where 2 is next",
    );
    finds(
        &levels(&["m/sqlite/0001_a.sql", "m/sqlite/0001_b.sql"]),
        "0001_b.sql:0: level 1 stands where 2 is next",
    );
    finds(&levels(&["m/sqlite/start.sql"]), "NNNN_name.sql");
}
