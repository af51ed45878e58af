//! Network addresses that may hold a user and a password: what may be shown of them, and what may not.

use std::{borrow::Cow, fmt};

use percent_encoding::percent_decode_str;

/// `scheme://[user[:password]@]rest`. Shown and printed without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    whole: String,
    scheme: String,
    userinfo: Option<String>,
    rest: String,
}

/// Who asks, percent-decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// May be empty.
    pub password: String,
}

impl Address {
    /// Takes `text` apart; `None` where it is no address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, after) = text.split_once("://").filter(|(scheme, _)| !scheme.is_empty())?;
        let at = userinfo_end(after);
        Some(Self {
            whole: text.to_owned(),
            scheme: scheme.to_lowercase(),
            userinfo: at.map(|at| after[..at].to_owned()),
            rest: at.map_or(after, |at| &after[at + 1..]).to_owned(),
        })
    }

    /// In lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Host, port and path.
    #[must_use]
    pub fn rest(&self) -> &str {
        &self.rest
    }

    /// As it was given, with user and password.
    #[must_use]
    pub fn whole(&self) -> &str {
        &self.whole
    }

    /// The same address without user and password.
    #[must_use]
    pub fn without_credentials(&self) -> String {
        format!("{}://{}", self.scheme, self.rest)
    }

    /// Who asks, where the address says so.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        let userinfo = self.userinfo.as_deref()?;
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Some(Credentials { user: decoded(user), password: decoded(password) })
    }

    /// `text`, for instance another program's error, with this address's user and password taken out wherever they stand.
    #[must_use]
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let (Some(userinfo), Some(Credentials { user: _, password })) = (&self.userinfo, self.credentials()) else { return text.into() };
        let plain = userinfo.split_once(':').map_or("", |(_, password)| password);
        let mut hidden = Cow::Borrowed(text);
        for secret in [userinfo.as_str(), plain, &password] {
            if !secret.is_empty() && hidden.contains(secret) {
                hidden = hidden.replace(secret, "…").into();
            }
        }
        hidden
    }
}

/// Where user and password end. A password with an unescaped `/` makes no valid address, but it is one all the same:
/// what stands before the first `/` is no host then.
fn userinfo_end(after: &str) -> Option<usize> {
    let authority = after.find(['/', '?', '#']).map_or(after, |end| &after[..end]);
    authority.rfind('@').or_else(|| {
        let (_, port) = authority.rsplit_once(':').filter(|_| !authority.starts_with('['))?;
        (!port.is_empty() && !port.bytes().all(|byte| byte.is_ascii_digit())).then(|| after.rfind('@'))?
    })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = if self.userinfo.is_some() { "…@" } else { "" };
        write!(f, "{}://{hidden}{}", self.scheme, self.rest)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_shown_nowhere() {
        for (text, shown, user, password) in [
            ("rtsp://admin:secret@cam.local:554/stream?x=1", "rtsp://…@cam.local:554/stream?x=1", "admin", "secret"),
            ("RTSP://admin:s%40cret@cam/a", "rtsp://…@cam/a", "admin", "s@cret"),
            ("rtsp://admin:s@cret@cam/a@b", "rtsp://…@cam/a@b", "admin", "s@cret"),
            ("mqtt://key@broker/a/b", "mqtt://…@broker/a/b", "key", ""),
            ("rtsp://admin:sec/ret@cam/a", "rtsp://…@cam/a", "admin", "sec/ret"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), format!("{address:?}").contains("cret")), (shown, false), "{text}");
            assert_eq!(address.credentials(), Some(Credentials { user: user.into(), password: password.into() }), "{text}");
            assert!(!address.without_credentials().contains(['…']) && !address.without_credentials().contains("cret"), "{text}");
        }
        for text in ["rtsp://cam:554/a@b:c@d", "rtsp://[::1]:554/a@b", "rtsp://cam/live"] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), address.credentials()), (text, None));
        }
        assert_eq!(Address::parse("dashcam.mp4"), None);
    }

    #[test]
    fn they_are_taken_out_of_what_others_say() {
        let address = Address::parse("rtsp://admin:s%40cret@cam/a").unwrap();
        let said = "cannot open rtsp://admin:s%40cret@cam/a (password s@cret)";
        assert_eq!(address.hide(said), "cannot open rtsp://…@cam/a (password …)");
        assert_eq!(Address::parse("rtsp://cam/a").unwrap().hide(said), said);
    }
}
