//! stub
#![allow(missing_docs)]
use std::time::Duration;
use std::sync::Arc;
use crate::handler::*;
use crate::plan::{Plan,Drawn};
use crate::protocol::Protocol;
#[derive(Debug,Clone)] pub struct Address { pub host: String, pub port: u16 }
impl std::fmt::Display for Address { fn fmt(&self, f:&mut std::fmt::Formatter<'_>)->std::fmt::Result { write!(f,"{}:{}",self.host,self.port)}}
#[derive(Clone)] pub struct Mix(pub Vec<(f64,String,Arc<dyn DynHandler>)>);
impl Mix { pub(crate) fn plan(&self)->Plan { Plan::new(self.0.iter().map(|(p,n,h)|(*p,Drawn::new(n,h.clone()))), Drawn::new("dummy", Arc::new(dummy::Dummy))) } }
pub struct ProxyConfig { pub name: String, pub listen: Address, pub backend: Address, pub protocol: Protocol, pub mix: Mix, pub buffer: Option<usize>, pub keep_alive: bool, pub reuse_socket: bool, pub pool_size: usize, pub pool_timeout: Duration, pub connect_timeout: Duration }
