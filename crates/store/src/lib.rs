//! Where orders live: SQLite and PostgreSQL behind one coarse trait.
