/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_REPO_PRIVATE_H
#define REPO_REPO_PRIVATE_H

/* What opening (repo.c) and making (repo_init.c) a repository share. */
#include "repo/repo.h"

#define REPO_IDENTITY_KEY "dapk-repository"
#define REPO_IDENTITY_KIND "repository"
#define REPO_CIPHER_NONE "none"
#define REPO_CIPHER "aes-256-gcm"

/* The storage becomes the repository's. */
struct repo *repo_new(struct storage *st);
int repo_read_identity(struct repo *repo, struct err *err) ERR_USE;

#endif
