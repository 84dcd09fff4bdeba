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
    expect_none(&check_levels(
        &files.into_iter().map(|(path, _)| path).collect::<Vec<_>>(),
    ));
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
fn a_level_that_one_database_lacks_is_found() {
    let paths = [
        "m/sqlite/0001_start.sql",
        "m/postgres/0001_start.sql",
        "m/sqlite/0002_more.sql",
    ];
    finds(
        &check_levels(&paths.map(str::to_owned)),
        "0002_more.sql:0: only in sqlite",
    );
}
