//! Reads the source and holds the architecture to its promises.
