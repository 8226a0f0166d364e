//! ari-sim
