//! Stories told over the whole house.
