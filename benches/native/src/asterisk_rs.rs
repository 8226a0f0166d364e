//! How asterisk-rs-ari is told where to connect.

use asterisk_rs_ari::{AriConfig, config::AriConfigBuilder};

use crate::{
    Result,
    simulator::{APPLICATION, PASSWORD, USER},
};

pub fn config(port: u16) -> Result<AriConfig> {
    let config = AriConfigBuilder::new(APPLICATION)
        .host("127.0.0.1")
        .port(port)
        .username(USER)
        .password(PASSWORD)
        .build()?;
    Ok(config)
}
