//! One cached access token for both Salesforce doors (OAuth 2.0 JWT bearer).
