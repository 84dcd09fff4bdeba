//! Load generator and stand-in provider, processes of their own.
