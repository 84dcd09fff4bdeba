//! One provider a file: builds requests, reads replies. Pure.
