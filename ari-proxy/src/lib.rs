//! ari-proxy
