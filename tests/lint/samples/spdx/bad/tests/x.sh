#!/bin/sh BAD
echo
