//! Reading settings: durations, secrets, URLs, and errors that name the setting, what was wrong and the mend.
