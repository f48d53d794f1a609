// The test programs share the precompiled header of this file.
