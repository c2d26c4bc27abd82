/* SPDX-License-Identifier: MIT */
#ifndef DARUMA_BASE_VERSION_H
#define DARUMA_BASE_VERSION_H

#define DARUMA_VERSION "0.1.0"

#endif
