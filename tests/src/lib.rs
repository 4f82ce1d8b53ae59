//! Stories told over the whole house, and the rules of its layout.
