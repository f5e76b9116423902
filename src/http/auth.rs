//! The handlers of `/auth` and of discovery: adapters around `smart`.

use super::{
    Failure, RequestId,
    api::Api,
    extract::FormBody,
    forwarded::Arrival,
    negotiate::JSON,
    router::{Act, Mount},
};
use crate::smart::{self, Answer};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};

/// Puts the handlers on.
#[must_use]
pub fn mount(mount: Mount, api: &Api) -> Mount {
    mount
        .on(Act::SmartConfiguration, discovery, api.clone())
        .on(Act::Token, token, api.clone())
        .on(Act::Jwks, jwks, api.clone())
}

async fn discovery(State(api): State<Api>) -> Response {
    answer(smart::discovery::answer(&api.parts().urls))
}

async fn jwks(State(api): State<Api>) -> Response {
    answer(smart::jwks::answer(api.parts().tokens.keys()))
}

async fn token(
    State(api): State<Api>,
    request: RequestId,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    FormBody(form): FormBody,
) -> Result<Response, Failure> {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    Ok(answer(
        api.smart()
            .token(&form, authorization, (request.as_str(), arrival.from))
            .await,
    ))
}

fn answer(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    response
}
