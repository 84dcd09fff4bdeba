//! A payment world on one thread: explorer, simulator, planted mistakes.
