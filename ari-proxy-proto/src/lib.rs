//! ari-proxy-proto
