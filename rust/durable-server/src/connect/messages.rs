//! What goes over the socket: the parts of the protocol's messages that are used, by their numbers.

use prost::Message;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Kind {
    GatewayHello = 0,
    WorkerConnect = 1,
    ConnectionReady = 2,
    ExecutorRequest = 3,
    WorkerReady = 4,
    RequestAck = 5,
    Reply = 6,
    ReplyAck = 7,
    WorkerPause = 8,
    WorkerHeartbeat = 9,
    GatewayHeartbeat = 10,
    GatewayClosing = 11,
    ExtendLease = 12,
    ExtendLeaseAck = 13,
    SyncFailed = 14,
    WorkerStatus = 15,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Frame {
    #[prost(enumeration = "Kind", tag = "1")]
    pub(super) kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) payload: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct App {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) functions: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Auth {
    #[prost(string, tag = "1")]
    pub(super) session_token: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Connect {
    #[prost(message, optional, tag = "3")]
    pub(super) auth: Option<Auth>,
    #[prost(message, repeated, tag = "5")]
    pub(super) apps: Vec<App>,
    #[prost(bool, tag = "6")]
    pub(super) is_ready_later: bool,
    #[prost(int64, optional, tag = "14")]
    pub(super) max_concurrency: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Ready {
    #[prost(string, tag = "1")]
    pub(super) heartbeat: String,
    #[prost(string, tag = "2")]
    pub(super) extend_lease: String,
    #[prost(string, tag = "3")]
    pub(super) status: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) account_id: String,
    #[prost(string, tag = "3")]
    pub(super) env_id: String,
    #[prost(string, tag = "4")]
    pub(super) app_id: String,
    #[prost(string, tag = "5")]
    pub(super) app_name: String,
    #[prost(string, tag = "6")]
    pub(super) function_id: String,
    #[prost(string, tag = "7")]
    pub(super) function_slug: String,
    #[prost(string, optional, tag = "8")]
    pub(super) step_id: Option<String>,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) payload: Vec<u8>,
    #[prost(string, tag = "12")]
    pub(super) run_id: String,
    #[prost(string, tag = "13")]
    pub(super) lease_id: String,
    #[prost(string, tag = "14")]
    pub(super) job_id: String,
}

/// A worker's word that it still is at a request; the answer has the same shape.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Lease {
    #[prost(string, tag = "1")]
    pub(super) request_id: String,
    #[prost(string, tag = "2")]
    pub(super) account_id: String,
    #[prost(string, tag = "3")]
    pub(super) env_id: String,
    #[prost(string, tag = "4")]
    pub(super) app_id: String,
    #[prost(string, tag = "5")]
    pub(super) function_slug: String,
    /// In an answer; absent: the request is another's now. A worker has the step's id here, which is not sent back.
    #[prost(string, optional, tag = "6")]
    pub(super) new_lease_id: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(string, tag = "1")]
    pub(super) request_id: String,
    /// 0: there are steps; 1: it has returned; 2: it failed.
    #[prost(int32, tag = "5")]
    pub(super) status: i32,
    #[prost(bytes = "vec", tag = "6")]
    pub(super) body: Vec<u8>,
    #[prost(bool, tag = "7")]
    pub(super) no_retry: bool,
    #[prost(string, optional, tag = "8")]
    pub(super) retry_after: Option<String>,
}

/// What names a request and nothing else.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Named {
    #[prost(string, tag = "1")]
    pub(super) request_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Started {
    #[prost(string, tag = "1")]
    pub(super) connection_id: String,
    #[prost(string, tag = "2")]
    pub(super) gateway_endpoint: String,
    #[prost(string, tag = "3")]
    pub(super) gateway_group: String,
    #[prost(string, tag = "4")]
    pub(super) session_token: String,
    #[prost(string, tag = "5")]
    pub(super) sync_token: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Refused {
    #[prost(string, tag = "1")]
    pub(super) code: String,
    #[prost(string, tag = "3")]
    pub(super) message: String,
}

/// A frame of this kind, written.
pub(super) fn frame(kind: Kind, payload: &impl Message) -> Vec<u8> {
    Frame { kind: kind.into(), payload: payload.encode_to_vec() }.encode_to_vec()
}
